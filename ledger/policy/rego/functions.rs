//! Functions of OPA: those that regorus has and evaluates alike, and ours, where it has none or another.

use std::net::IpAddr;

use regorus::{Engine, Value};

use super::regex;
use super::sprintf::sprintf;

/// Functions of regorus that do what OPA's do.
const SHARED: &[&str] = &[
    "abs",
    "array.concat",
    "array.reverse",
    "array.slice",
    "base64.decode",
    "base64.encode",
    "base64.is_valid",
    "base64url.decode",
    "base64url.encode",
    "base64url.encode_no_pad",
    "bits.and",
    "bits.lsh",
    "bits.negate",
    "bits.or",
    "bits.rsh",
    "bits.xor",
    "ceil",
    "concat",
    "contains",
    "count",
    "endswith",
    "floor",
    "format_int",
    "glob.match",
    "glob.quote_meta",
    "hex.decode",
    "hex.encode",
    "indexof",
    "indexof_n",
    "intersection",
    "is_array",
    "is_boolean",
    "is_null",
    "is_number",
    "is_object",
    "is_set",
    "is_string",
    "json.filter",
    "json.is_valid",
    "json.marshal",
    "json.remove",
    "json.unmarshal",
    "lower",
    "max",
    "min",
    "numbers.range",
    "numbers.range_step",
    "object.filter",
    "object.get",
    "object.keys",
    "object.remove",
    "object.subset",
    "object.union",
    "object.union_n",
    "print",
    "product",
    "regex.template_match",
    "replace",
    "round",
    "semver.compare",
    "semver.is_valid",
    "sort",
    "split",
    "startswith",
    "strings.any_prefix_match",
    "strings.any_suffix_match",
    "strings.count",
    "strings.replace_n",
    "strings.reverse",
    "substring",
    "sum",
    "time.add_date",
    "time.clock",
    "time.date",
    "time.diff",
    "time.now_ns",
    "time.parse_duration_ns",
    "time.parse_ns",
    "time.parse_rfc3339_ns",
    "time.weekday",
    "to_number",
    "trace",
    "trim",
    "trim_left",
    "trim_prefix",
    "trim_right",
    "trim_space",
    "trim_suffix",
    "type_name",
    "union",
    "units.parse",
    "units.parse_bytes",
    "upper",
    "urlquery.decode",
    "urlquery.encode",
    "urlquery.encode_object",
    "uuid.parse",
    "walk",
    "yaml.is_valid",
    "yaml.marshal",
    "yaml.unmarshal",
];

type Function = fn(&[Value]) -> Result<Value, String>;

/// Our functions, each with the number of its arguments.
const OWN: &[(&str, u8, Function)] = &[
    ("sprintf", 2, |v| sprintf(text(v, 0)?, v[1].as_array().map_err(|e| e.to_string())?.as_slice()).map(Value::from)),
    ("regex.match", 2, is_match),
    ("re_match", 2, is_match),
    ("regex.is_valid", 1, |v| Ok(Value::from(v[0].as_string().is_ok_and(|p| regex::compile(p).is_ok())))),
    ("regex.split", 2, |v| Ok(texts(regex::compile(text(v, 0)?)?.split(text(v, 1)?)))),
    ("regex.find_n", 3, |v| {
        Ok(texts(regex::compile(text(v, 0)?)?.find_iter(text(v, 1)?).take(most(v, 2)?).map(|m| m.as_str())))
    }),
    ("regex.find_all_string_submatch_n", 3, find_groups),
    ("regex.replace", 3, |v| {
        Ok(Value::from(regex::compile(text(v, 1)?)?.replace_all(text(v, 0)?, text(v, 2)?).into_owned()))
    }),
    ("any", 1, |v| Ok(Value::from(elements(&v[0])?.contains(&Value::from(true))))),
    ("all", 1, |v| Ok(Value::from(elements(&v[0])?.iter().all(|e| *e == Value::from(true))))),
    ("set_diff", 2, |v| {
        let (a, b) = (v[0].as_set().map_err(|e| e.to_string())?, v[1].as_set().map_err(|e| e.to_string())?);
        Ok(Value::from(a.iter().filter(|e| !b.contains(*e)).cloned().collect::<std::collections::BTreeSet<_>>()))
    }),
    ("net.cidr_contains", 2, |v| Ok(Value::from(Block::parse(text(v, 0)?)?.contains(&Block::parse(text(v, 1)?)?)))),
    ("net.cidr_intersects", 2, |v| {
        let (a, b) = (Block::parse(text(v, 0)?)?, Block::parse(text(v, 1)?)?);
        Ok(Value::from(a.contains(&b) || b.contains(&a)))
    }),
    ("net.cidr_is_valid", 1, |v| {
        Ok(Value::from(v[0].as_string().is_ok_and(|t| t.contains('/') && Block::parse(t).is_ok())))
    }),
];

/// Whether a function can be called.
pub fn is_known(name: &str) -> bool {
    SHARED.contains(&name) || OWN.iter().any(|(own, ..)| *own == name)
}

/// Gives an engine our functions.
pub fn register(engine: &mut Engine) -> Result<(), String> {
    for (name, arguments, function) in OWN {
        let (name, function) = (*name, *function);
        let call = move |values: Vec<Value>| {
            function(&values).or_else(|why| {
                // The engine's own type of error is not ours to name: a text that is no JSON lends one.
                let mut refused = Value::from_json_str("");
                if let Err(error) = &mut refused {
                    *error = Refused(format!("{name}: {why}")).into();
                }
                refused
            })
        };
        engine.add_extension(name.to_owned(), *arguments, Box::new(call)).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// A function that could not be evaluated.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

fn text(values: &[Value], at: usize) -> Result<&str, String> {
    values[at].as_string().map(AsRef::as_ref).map_err(|_| format!("argument {} is no string", at + 1))
}

fn texts<'a>(found: impl Iterator<Item = &'a str>) -> Value {
    Value::from(found.map(Value::from).collect::<Vec<_>>())
}

/// How many results are wanted; a negative number asks for all.
fn most(values: &[Value], at: usize) -> Result<usize, String> {
    let wanted = values[at].as_i64().map_err(|_| format!("argument {} is no whole number", at + 1))?;
    Ok(usize::try_from(wanted).unwrap_or(usize::MAX))
}

fn elements(value: &Value) -> Result<Vec<Value>, String> {
    if let Ok(array) = value.as_array() {
        return Ok(array.iter().cloned().collect());
    }
    value.as_set().map(|set| set.iter().cloned().collect()).map_err(|_| "neither an array nor a set".to_owned())
}

fn is_match(values: &[Value]) -> Result<Value, String> {
    Ok(Value::from(regex::compile(text(values, 0)?)?.is_match(text(values, 1)?)))
}

fn find_groups(values: &[Value]) -> Result<Value, String> {
    let pattern = regex::compile(text(values, 0)?)?;
    let found = pattern.captures_iter(text(values, 1)?).take(most(values, 2)?);
    Ok(Value::from(found.map(|c| texts(c.iter().map(|g| g.map_or("", |m| m.as_str())))).collect::<Vec<_>>()))
}

/// An address block; an address alone is a block of one.
struct Block {
    address: u128,
    is_v6: bool,
    prefix: u32,
}

impl Block {
    fn parse(text: &str) -> Result<Block, String> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse().map_err(|_| format!("{text:?} is no address or block"))?;
        let (bits, is_v6, width) = match address {
            IpAddr::V4(v4) => (u128::from(u32::from(v4)), false, 32),
            IpAddr::V6(v6) => (u128::from(v6), true, 128),
        };
        let prefix = prefix.map_or(Ok(width), str::parse).map_err(|_| format!("{text:?} is no block"))?;
        if prefix > width {
            return Err(format!("{text:?} is no block"));
        }
        Ok(Block { address: bits, is_v6, prefix })
    }

    fn contains(&self, other: &Block) -> bool {
        let width = if self.is_v6 { 128 } else { 32 };
        let top = |address: u128| address.checked_shr(width - self.prefix).unwrap_or(0);
        self.is_v6 == other.is_v6 && self.prefix <= other.prefix && top(self.address) == top(other.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_addresses() {
        let contains = |a: &str, b: &str| Block::parse(a).and_then(|a| Ok(a.contains(&Block::parse(b)?)));
        assert_eq!(contains("10.0.0.0/8", "10.1.2.3"), Ok(true));
        assert_eq!(contains("10.0.0.0/8", "11.0.0.0/16"), Ok(false));
        assert_eq!(contains("10.0.0.0/16", "10.0.0.0/8"), Ok(false));
        assert_eq!(contains("0.0.0.0/0", "11.0.0.0/16"), Ok(true));
        assert_eq!(contains("fd00::/8", "fd12::1"), Ok(true));
        assert!(Block::parse("10.0.0.0/33").is_err() && Block::parse("nowhere").is_err());
    }
}
