; Colours, by the names that Helix, Neovim and Zed share.

(comment) @comment
(string) @string
(escape) @string.escape
[(number) (percent) (pixels) (size) (range)] @number
[(all) (rest)] @constant.builtin

(block (name) @property)
(argument (name) @property)
(call function: (name) @function)
(region name: (name) @variable)
(reference (name) @variable)
(edit region: (name) @variable)
(edit owner: (name) @variable)
(add region: (name) @variable)
(add owner: (name) @variable)
(keep region: (name) @variable)
(free region: (name) @variable)
(without region: (name) @variable)
(variant name: (name) @type)
(model name: (name) @constant)
(tracker engine: (name) @constant)
(finder engine: (name) @constant)
(attention profile: (name) @constant)
(sampler method: (name) @constant)
(control kind: (name) @constant)

[
  "grain" "video" "model" "motion_adapter" "source" "target" "negative" "tracker" "finder"
  "region" "edit" "add" "keep" "free" "without" "attention" "flow" "inject" "freeu" "context" "sampler"
  "method" "control" "blend" "variant"
] @keyword
["class" "instance" "part" "of" "grow" "shrink" "during" "smooth"] @keyword

["=" "->" "|" "&" "-" "~" "@"] @operator
["{" "}" "(" ")"] @punctuation.bracket
"," @punctuation.delimiter
