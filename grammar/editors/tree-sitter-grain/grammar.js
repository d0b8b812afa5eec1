/**
 * The `.grain` language for Tree-sitter: what `../../grain.lark` says, with variants as blocks.
 *
 * `tree-sitter generate` writes `src/` from it. It takes a little more than the parser of grainspec,
 * whose findings the language server shows: names of settings and calls are any words.
 */

/* eslint-env commonjs */

const LEVELS = { union: 1, intersection: 2, difference: 3, complement: 4, modifier: 5 };

const list = (item) => seq(item, repeat(seq(",", item)));

const left = (name, sign, $) =>
  prec.left(LEVELS[name], seq(field("left", $._expression), sign, field("right", $._expression)));

module.exports = grammar({
  name: "grain",
  word: ($) => $.name,
  extras: ($) => [/\s/, $.comment],
  supertypes: ($) => [$._statement, $._expression],

  rules: {
    source_file: ($) => repeat(choice($._statement, $.variant)),

    _statement: ($) =>
      choice(
        $.grain,
        $.video,
        $.model,
        $.motion_adapter,
        $.prompt,
        $.tracker,
        $.finder,
        $.region,
        $.edit,
        $.add,
        $.keep,
        $.free,
        $.without,
        $.attention,
        $.flow,
        $.inject,
        $.freeu,
        $.context,
        $.sampler,
        $.method,
        $.control,
        $.blend,
      ),

    // --- the clip, the model and the prompts ---

    grain: ($) => seq("grain", field("version", $.number)),
    video: ($) => seq("video", field("path", $.string), optional($.block)),
    model: ($) => seq("model", field("name", choice($.name, $.string))),
    motion_adapter: ($) => seq("motion_adapter", field("name", $.string)),
    prompt: ($) => seq(field("kind", choice("source", "target", "negative")), $.string),

    // --- regions and edits ---

    region: ($) => seq("region", field("name", $.name), "=", field("value", $._expression)),
    edit: ($) =>
      seq(
        "edit",
        choice(
          seq(optional(choice("class", "instance")), field("region", $.name)),
          seq("part", field("region", $.name), optional(seq("of", field("owner", $.name)))),
        ),
        "->",
        field("phrase", $.string),
        optional($.block),
      ),
    add: ($) =>
      seq(
        "add",
        optional("part"),
        field("region", $.name),
        "of",
        field("owner", $.name),
        "->",
        field("phrase", $.string),
        optional($.block),
      ),
    keep: ($) => seq("keep", list(field("region", $.name))),
    free: ($) => seq("free", list(field("region", $.name))),
    without: ($) => seq("without", list(field("region", $.name))),
    variant: ($) => seq("variant", field("name", $.name), "{", repeat($._statement), "}"),

    // --- blocks of settings ---

    tracker: ($) => seq("tracker", optional(field("engine", $.name)), optional($.block)),
    finder: ($) => seq("finder", optional(field("engine", $.name)), optional($.block)),
    attention: ($) =>
      seq("attention", choice(seq(field("profile", $.name), optional($.block)), $.block)),
    flow: ($) => seq("flow", optional($.block)),
    inject: ($) => seq("inject", optional($.block)),
    freeu: ($) => seq("freeu", optional($.block)),
    context: ($) => seq("context", optional($.block)),
    sampler: ($) => seq("sampler", optional(field("method", $.name)), optional($.block)),
    method: ($) => seq("method", field("name", $.name), optional($.block)),
    control: ($) => seq("control", field("kind", $.name), optional($.block)),
    blend: ($) => seq("blend", $.block),
    block: ($) => seq("{", repeat($._word), "}"),
    _word: ($) =>
      choice($.name, $.string, $.number, $.percent, $.pixels, $.size, $.range, $.all, $.call),

    // --- region expressions ---

    _expression: ($) =>
      choice(
        $.union,
        $.intersection,
        $.difference,
        $.complement,
        $.grown,
        $.during,
        $.smoothed,
        $.keyframes,
        $.call,
        $.reference,
        $.all,
        $.rest,
        $.group,
      ),
    union: ($) => left("union", "|", $),
    intersection: ($) => left("intersection", "&", $),
    difference: ($) => left("difference", "-", $),
    complement: ($) => prec(LEVELS.complement, seq("~", $._expression)),
    grown: ($) =>
      prec(
        LEVELS.modifier,
        seq($._expression, choice("grow", "shrink"), choice($.percent, $.pixels)),
      ),
    during: ($) => prec(LEVELS.modifier, seq($._expression, "during", $.range)),
    smoothed: ($) => prec(LEVELS.modifier, seq($._expression, "smooth", $.number)),
    group: ($) => seq("(", $._expression, ")"),
    reference: ($) => $.name,
    all: () => "all",
    rest: () => "rest",
    keyframes: ($) => list($.keyframe),
    keyframe: ($) => seq($.call, "@", field("frame", $.number)),
    call: ($) => seq(field("function", $.name), "(", optional(list($.argument)), ")"),
    argument: ($) => seq(repeat1($._word), optional(seq("@", field("frame", $.number)))),

    // --- words ---

    range: () => /-?\d+\.\.-?\d+/,
    size: () => /\d+x\d+/,
    percent: () => /[+-]?(\d+(\.\d+)?|\.\d+)%/,
    pixels: () => /[+-]?(\d+(\.\d+)?|\.\d+)px/,
    number: () => /[+-]?(\d+(\.\d+)?|\.\d+)([eE][+-]?\d+)?/,
    name: () => /[_\p{XID_Start}][\p{XID_Continue}]*/,
    string: ($) =>
      seq(
        '"',
        repeat(choice(token.immediate(prec(1, /[^"\\\n]+/)), $.escape)),
        token.immediate('"'),
      ),
    escape: () => token.immediate(/\\[^\n]/),
    comment: () => token(/#[^\n]*/),
  },
});
