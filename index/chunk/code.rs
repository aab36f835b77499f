//! Source code by symbol, as its grammar tells them: a function, a type, a method stands whole where it fits, with the
//! comments above it, under the names of what holds it. What no grammar reads is cut at lines.

use tree_sitter::{Language, Node as Syntax, Parser};

use super::TextKind;
use super::node::{Node, lines};

/// Bytes of a file that a grammar reads; a larger one is data.
const PARSED_BYTES_MAX: usize = 1 << 20;
/// How deep symbols are looked for in symbols.
const DEPTH_MAX: usize = 6;
/// Bytes of a symbol's name.
const NAME_BYTES_MAX: usize = 100;

/// A language by the ends of its files' names.
struct Known {
    name: &'static str,
    ends: &'static [&'static str],
    grammar: Option<fn() -> Language>,
}

const LANGUAGES: &[Known] = &[
    Known { name: "rust", ends: &["rs"], grammar: Some(|| tree_sitter_rust::LANGUAGE.into()) },
    Known { name: "python", ends: &["py", "pyi"], grammar: Some(|| tree_sitter_python::LANGUAGE.into()) },
    Known { name: "go", ends: &["go"], grammar: Some(|| tree_sitter_go::LANGUAGE.into()) },
    Known { name: "java", ends: &["java"], grammar: Some(|| tree_sitter_java::LANGUAGE.into()) },
    Known {
        name: "javascript",
        ends: &["js", "mjs", "cjs", "jsx"],
        grammar: Some(|| tree_sitter_javascript::LANGUAGE.into()),
    },
    Known {
        name: "typescript",
        ends: &["ts", "mts", "cts"],
        grammar: Some(|| tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into()),
    },
    Known { name: "typescript", ends: &["tsx"], grammar: Some(|| tree_sitter_typescript::LANGUAGE_TSX.into()) },
    Known { name: "csharp", ends: &["cs", "csx"], grammar: Some(|| tree_sitter_c_sharp::LANGUAGE.into()) },
    Known { name: "bash", ends: &["sh", "bash"], grammar: Some(|| tree_sitter_bash::LANGUAGE.into()) },
    Known { name: "c", ends: &["c", "h"], grammar: None },
    Known { name: "cpp", ends: &["cc", "cpp", "cxx", "hpp", "hh"], grammar: None },
    Known { name: "powershell", ends: &["ps1", "psm1"], grammar: None },
    Known { name: "terraform", ends: &["tf", "hcl"], grammar: None },
    Known { name: "bicep", ends: &["bicep"], grammar: None },
    Known { name: "sql", ends: &["sql"], grammar: None },
    Known { name: "rego", ends: &["rego"], grammar: None },
    Known { name: "ruby", ends: &["rb"], grammar: None },
    Known { name: "kotlin", ends: &["kt", "kts"], grammar: None },
    Known { name: "swift", ends: &["swift"], grammar: None },
    Known { name: "php", ends: &["php"], grammar: None },
    Known { name: "scala", ends: &["scala"], grammar: None },
    Known { name: "protobuf", ends: &["proto"], grammar: None },
    Known { name: "groovy", ends: &["groovy", "gradle"], grammar: None },
];

/// Syntax that defines something with a name, over all grammars.
const SYMBOLS: &[&str] = &[
    "function_item",
    "function_signature_item",
    "impl_item",
    "struct_item",
    "enum_item",
    "union_item",
    "trait_item",
    "mod_item",
    "macro_definition",
    "const_item",
    "static_item",
    "type_item",
    "function_definition",
    "class_definition",
    "decorated_definition",
    "function_declaration",
    "generator_function_declaration",
    "method_declaration",
    "type_declaration",
    "class_declaration",
    "abstract_class_declaration",
    "interface_declaration",
    "enum_declaration",
    "record_declaration",
    "annotation_type_declaration",
    "constructor_declaration",
    "method_definition",
    "type_alias_declaration",
    "export_statement",
    "internal_module",
    "module",
    "namespace_declaration",
    "file_scoped_namespace_declaration",
    "struct_declaration",
    "property_declaration",
    "delegate_declaration",
    "destructor_declaration",
    "operator_declaration",
    "lexical_declaration",
];
/// Syntax that belongs to what stands under it.
const ABOVE: &[&str] =
    &["comment", "line_comment", "block_comment", "attribute_item", "decorator", "annotation", "marker_annotation"];

fn known(path: &str) -> Option<&'static Known> {
    let end = path.rsplit('.').next().filter(|end| end.len() < path.len())?.to_ascii_lowercase();
    LANGUAGES.iter().find(|known| known.ends.contains(&end.as_str()))
}

/// Whether a path names source code.
pub(super) fn is_code(path: &str) -> bool {
    known(path).is_some()
}

/// The language of a path.
pub(super) fn language_name(path: &str) -> Option<&'static str> {
    known(path).map(|known| known.name)
}

pub(super) fn nodes(path: &str, text: &str) -> Vec<Node> {
    if text.is_empty() {
        return Vec::new();
    }
    let whole = Node::lines(0, text.len(), TextKind::Code);
    let grammar = known(path).and_then(|known| known.grammar).filter(|_| text.len() <= PARSED_BYTES_MAX);
    let parts = grammar.and_then(|grammar| {
        let mut parser = Parser::new();
        parser.set_language(&grammar()).ok()?;
        let tree = parser.parse(text, None)?;
        Some(symbols(text, tree.root_node(), 0, text.len(), 0))
    });
    let parts = parts.unwrap_or_else(|| stretches(text));
    vec![Node { parts, ..whole }]
}

/// Without a grammar: stretches between blank lines, a line that is indented belonging to the one before.
fn stretches(text: &str) -> Vec<Node> {
    let mut parts: Vec<Node> = Vec::new();
    let mut blank = true;
    for (at, line) in lines(text) {
        let stop = at + line.len();
        let empty = line.trim().is_empty();
        let begins = blank && !empty && !line.starts_with([' ', '\t', '}', ')', ']']);
        match parts.last_mut() {
            Some(last) if !begins => last.end = stop,
            _ => parts.push(Node::lines(at, stop, TextKind::Code)),
        }
        blank = empty;
    }
    parts
}

/// The symbols among a syntax node's children, tiling the stretch; what stands between them is part of no symbol.
fn symbols(text: &str, parent: Syntax<'_>, start: usize, end: usize, depth: usize) -> Vec<Node> {
    let mut parts: Vec<Node> = Vec::new();
    let mut at = start;
    // Where comments and attributes begin that stand right above what comes next.
    let mut above: Option<usize> = None;
    let mut cursor = parent.walk();
    for child in parent.named_children(&mut cursor) {
        let begin = line_start(text, child.start_byte()).max(at);
        let stop = line_end(text, child.end_byte()).min(end);
        if ABOVE.contains(&child.kind()) {
            let apart = above.is_some_and(|_| text[at.min(begin)..begin].contains("\n\n"));
            above = above.filter(|_| !apart).or(Some(begin));
            continue;
        }
        let symbol = SYMBOLS.contains(&child.kind()).then(|| name(text, child)).flatten();
        let from = above.take().filter(|above| *above >= at).unwrap_or(begin);
        let Some(symbol) = symbol.filter(|_| stop > from) else { continue };
        if from > at {
            parts.push(Node::lines(at, from, TextKind::Code));
        }
        let mut node = Node::lines(from, stop, TextKind::Code).named(symbol);
        if depth + 1 < DEPTH_MAX {
            let inner = symbols(text, body(child), from, stop, depth + 1);
            if inner.iter().any(|part| !part.label.is_empty()) {
                node.parts = inner;
            }
        }
        parts.push(node);
        at = stop;
    }
    if at < end {
        parts.push(Node::lines(at, end, TextKind::Code));
    }
    parts
}

/// What holds a symbol's own symbols.
fn body(node: Syntax<'_>) -> Syntax<'_> {
    let inner =
        node.child_by_field_name("definition").or_else(|| node.child_by_field_name("declaration")).unwrap_or(node);
    inner.child_by_field_name("body").unwrap_or(inner)
}

/// What a symbol is called.
fn name(text: &str, node: Syntax<'_>) -> Option<String> {
    let of = |node: Syntax<'_>| text.get(node.byte_range()).map(one_line);
    let field = |name: &str| node.child_by_field_name(name);
    let named = match node.kind() {
        "impl_item" => {
            let kind = of(field("type")?)?;
            let of_trait = field("trait").and_then(of);
            Some(of_trait.map_or_else(|| format!("impl {kind}"), |of_trait| format!("impl {of_trait} for {kind}")))
        }
        "decorated_definition" => name(text, field("definition")?),
        "export_statement" => name(text, field("declaration")?),
        "type_declaration" | "lexical_declaration" => {
            let mut cursor = node.walk();
            let inner = node.named_children(&mut cursor).find_map(|child| child.child_by_field_name("name"));
            inner.and_then(of)
        }
        // A method of Go stands under its receiver.
        "method_declaration" if field("receiver").is_some() => {
            let receiver = of(field("receiver")?)?;
            let kind = receiver.trim_matches(['(', ')']).split([' ', '*']).next_back()?.to_owned();
            Some(format!("{kind}.{}", of(field("name")?)?))
        }
        _ => field("name").and_then(of),
    };
    named.filter(|name| !name.is_empty()).map(|name| super::whole_characters(&name, NAME_BYTES_MAX).to_owned())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Where the line of a byte begins, if only white space stands before it; otherwise the byte itself.
fn line_start(text: &str, at: usize) -> usize {
    let from = text[..at].rfind('\n').map_or(0, |n| n + 1);
    if text[from..at].trim().is_empty() { from } else { at }
}

/// Where the line of a byte ends, if nothing else stands on it.
fn line_end(text: &str, at: usize) -> usize {
    let rest = &text[at..];
    let line = rest.find('\n').map_or(rest.len(), |n| n + 1);
    let tail = rest[..line].trim();
    if tail.is_empty() || tail == ";" || tail == "," { at + line } else { at }
}
