//! Conditions on rows as OpenCost's filters write them: `namespace:"kube-system","monitoring"+label[app]!:"web"`. `+` is
//! and, `|` is or, brackets group; `:` equals, `~:` contains, `<~:` begins, `~>:` ends, each with `!` before it for not.

use std::str::FromStr;

use engine::Error;

use super::property::Property;
use super::row::Row;

/// Brackets within brackets; more of them are no filter of a person.
const DEPTH_MAX: usize = 32;

/// A condition on a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// All of them hold.
    All(Vec<Condition>),
    /// One of them holds.
    Any(Vec<Condition>),
    /// A property compares with one of these values.
    Is {
        /// The property; none asks whether the row has a label of one of these names.
        property: Of,
        /// How it compares.
        compare: Compare,
        /// Whether it must not.
        is_not: bool,
        /// The values.
        values: Vec<String>,
    },
}

/// What is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Of {
    /// A property's value.
    Value(Property),
    /// The names of the row's labels.
    LabelNames,
    /// The names of the row's annotations.
    AnnotationNames,
}

/// How values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// They are equal.
    Equal,
    /// The property has the value in it.
    Contains,
    /// It begins with the value.
    Begins,
    /// It ends with the value.
    Ends,
}

impl Compare {
    fn holds(self, own: &str, value: &str) -> bool {
        match self {
            Compare::Equal => own == value,
            Compare::Contains => own.contains(value),
            Compare::Begins => own.starts_with(value),
            Compare::Ends => own.ends_with(value),
        }
    }
}

impl Condition {
    /// Whether a row meets it.
    pub fn matches(&self, row: &Row) -> bool {
        match self {
            Condition::All(all) => all.iter().all(|one| one.matches(row)),
            Condition::Any(any) => any.iter().any(|one| one.matches(row)),
            Condition::Is { property, compare, is_not, values } => {
                let one = |own: &str| values.iter().any(|value| compare.holds(own, value));
                let holds = match property {
                    Of::Value(property) => {
                        let own = property.of(row);
                        // What has no value is asked for by the name of its group.
                        one(own) || (own.is_empty() && one(super::UNALLOCATED))
                    }
                    Of::LabelNames => row.labels.keys().any(|name| one(name)),
                    Of::AnnotationNames => row.annotations.keys().any(|name| one(name)),
                };
                holds != *is_not
            }
        }
    }
}

impl FromStr for Condition {
    type Err = Error;

    fn from_str(text: &str) -> Result<Condition, Error> {
        let mut reader = Reader { rest: text.trim(), whole: text, depth: 0 };
        let condition = reader.any()?;
        reader.skip();
        if reader.rest.is_empty() { Ok(condition) } else { Err(reader.wrong("is more than a filter")) }
    }
}

struct Reader<'a> {
    rest: &'a str,
    whole: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn wrong(&self, what: &str) -> Error {
        Error::invalid(format!("the filter {:?}: {:?} {what}", self.whole, self.rest))
    }

    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn any(&mut self) -> Result<Condition, Error> {
        let mut found = vec![self.all()?];
        while self.take("|") {
            found.push(self.all()?);
        }
        Ok(if found.len() == 1 { found.remove(0) } else { Condition::Any(found) })
    }

    fn all(&mut self) -> Result<Condition, Error> {
        let mut found = vec![self.one()?];
        while self.take("+") {
            found.push(self.one()?);
        }
        Ok(if found.len() == 1 { found.remove(0) } else { Condition::All(found) })
    }

    fn one(&mut self) -> Result<Condition, Error> {
        if self.take("(") {
            self.depth += 1;
            if self.depth > DEPTH_MAX {
                return Err(self.wrong("has too many brackets"));
            }
            let inner = self.any()?;
            self.depth -= 1;
            return if self.take(")") { Ok(inner) } else { Err(self.wrong("closes no bracket")) };
        }
        let property = self.property()?;
        let is_not = self.take("!");
        let compare = match () {
            () if self.take("<~:") => Compare::Begins,
            () if self.take("~>:") => Compare::Ends,
            () if self.take("~:") => Compare::Contains,
            () if self.take(":") => Compare::Equal,
            () => return Err(self.wrong("compares nothing; `:`, `~:`, `<~:` and `~>:` do")),
        };
        let mut values = vec![self.value()?];
        while self.take(",") {
            values.push(self.value()?);
        }
        Ok(Condition::Is { property, compare, is_not, values })
    }

    fn property(&mut self) -> Result<Of, Error> {
        self.skip();
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        if word.is_empty() {
            return Err(self.wrong("names no property"));
        }
        self.rest = rest;
        if self.take("[") {
            let end = self.rest.find(']').ok_or_else(|| self.wrong("closes no bracket"))?;
            let name = self.rest[..end].trim().trim_matches('"').to_owned();
            self.rest = &self.rest[end + 1..];
            return format!("{word}:{name}").parse().map(Of::Value);
        }
        match word {
            "label" => Ok(Of::LabelNames),
            "annotation" => Ok(Of::AnnotationNames),
            "controllerName" => Ok(Of::Value(Property::Controller)),
            word => word.parse().map(Of::Value),
        }
    }

    fn value(&mut self) -> Result<String, Error> {
        if !self.take("\"") {
            return Err(self.wrong("is no text in quotes"));
        }
        let mut value = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(value);
                }
                '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
                c => value.push(c),
            }
        }
        Err(self.wrong("ends in no quote"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn row(namespace: &str, app: &str) -> Row {
        let labels = match app {
            "" => Default::default(),
            app => std::sync::Arc::new([("app".to_owned(), app.to_owned())].into()),
        };
        Row { cluster: "c".to_owned(), namespace: namespace.to_owned(), labels, ..Row::default() }
    }

    #[test]
    fn rows_are_chosen_as_the_filter_says() {
        let rows = [row("shop", "web"), row("shop", "db"), row("kube-system", ""), row("monitoring", "prom")];
        for (filter, expected) in [
            ("namespace:\"shop\"", vec![0, 1]),
            ("namespace:\"shop\",\"monitoring\"", vec![0, 1, 3]),
            ("namespace!:\"shop\"", vec![2, 3]),
            ("namespace<~:\"kube-\"", vec![2]),
            ("namespace~>:\"ing\"", vec![3]),
            ("namespace~:\"o\"", vec![0, 1, 3]),
            ("namespace!~:\"o\"", vec![2]),
            ("namespace:\"shop\" + label[app]:\"db\"", vec![1]),
            ("label[app]:\"db\" | label[app]:\"prom\"", vec![1, 3]),
            ("cluster:\"c\"+(label[app]:\"db\"|namespace:\"kube-system\")", vec![1, 2]),
            ("label:\"app\"", vec![0, 1, 3]),
            ("label[app]:\"__unallocated__\"", vec![2]),
            ("controllerKind:\"deployment\"", vec![]),
        ] {
            let condition: Condition = filter.parse().unwrap();
            let got: Vec<usize> = (0..rows.len()).filter(|at| condition.matches(&rows[*at])).collect();
            assert_eq!(got, expected, "{filter}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for wrong in [
            "",
            "namespace",
            "namespace:",
            "namespace:shop",
            "colour:\"a\"",
            "(namespace:\"a\"",
            "namespace:\"a\" b",
            "namespace:\"a",
            "label[:\"a\"",
        ] {
            assert!(wrong.parse::<Condition>().is_err(), "{wrong}");
        }
        assert!("(".repeat(100).parse::<Condition>().is_err());
    }
}
