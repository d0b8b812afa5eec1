(variant "}" @end) @indent
(block "}" @end) @indent
(call ")" @end) @indent
