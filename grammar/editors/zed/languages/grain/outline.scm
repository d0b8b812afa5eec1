(region "region" @context name: (name) @name) @item
(variant "variant" @context name: (name) @name) @item
(edit "edit" @context region: (name) @name) @item
(add "add" @context region: (name) @name) @item
