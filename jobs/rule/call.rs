//! What a rule does with a row: `notify("finops", "{tenant} has spent {spent}")`. Arguments are columns, texts with columns
//! in braces, or numbers.

use std::collections::BTreeSet;

use serde_json::Value;

/// One action of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Its name in the register of actions.
    pub action: String,
    /// What it gets, in order.
    pub arguments: Vec<Argument>,
    /// As it was written.
    pub text: String,
}

/// What an action gets.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument {
    /// The cell of a column.
    Column(String),
    /// A text with cells in it.
    Text(Template),
    /// A number.
    Number(i64),
}

/// A text in which `{column}` stands for a cell; `{{` and `}}` are braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Column(String),
}

impl Template {
    fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut open) = (Vec::new(), String::new());
        let mut signs = text.chars().peekable();
        while let Some(sign) = signs.next() {
            match sign {
                '{' | '}' if signs.peek() == Some(&sign) => {
                    signs.next();
                    open.push(sign);
                }
                '{' => {
                    let column: String = signs.by_ref().take_while(|c| *c != '}').collect();
                    let column = column.trim();
                    if !is_name(column) {
                        return Err(format!("`{{{column}}}` names no column; `{{{{` is a brace"));
                    }
                    parts.push(Part::Text(std::mem::take(&mut open)));
                    parts.push(Part::Column(column.to_owned()));
                }
                '}' => return Err("a `}` closes nothing; `}}` is a brace".to_owned()),
                _ => open.push(sign),
            }
        }
        parts.push(Part::Text(open));
        parts.retain(|part| *part != Part::Text(String::new()));
        Ok(Template { parts })
    }

    /// The columns that it names.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Column(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The text for a row.
    pub fn render(&self, row: &serde_json::Map<String, Value>) -> String {
        let text = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Column(name) => row.get(name).map(plain).unwrap_or_default(),
        };
        self.parts.iter().map(text).collect()
    }
}

/// A cell as it stands in a sentence.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Call {
    /// Reads one action or several behind each other, separated by `;` or a comma.
    pub fn parse_all(text: &str) -> Result<Vec<Call>, String> {
        let mut reader = Reader { rest: text.trim() };
        let mut calls = Vec::new();
        while !reader.rest.is_empty() {
            calls.push(reader.call()?);
            reader.rest = reader.rest.trim_start_matches(|c: char| c.is_whitespace() || c == ';' || c == ',');
        }
        if calls.is_empty() { Err("there is no action; write none or name(\"…\")".to_owned()) } else { Ok(calls) }
    }

    /// The columns whose cells it needs.
    pub fn columns(&self) -> BTreeSet<&str> {
        let mut columns = BTreeSet::new();
        for argument in &self.arguments {
            match argument {
                Argument::Column(name) => {
                    columns.insert(name.as_str());
                }
                Argument::Text(template) => columns.extend(template.columns()),
                Argument::Number(_) => {}
            }
        }
        columns
    }

    /// Its arguments for a row, as JSON.
    pub fn render(&self, row: &serde_json::Map<String, Value>) -> Vec<Value> {
        let value = |argument: &Argument| match argument {
            Argument::Column(name) => row.get(name).cloned().unwrap_or_default(),
            Argument::Text(template) => Value::String(template.render(row)),
            Argument::Number(number) => (*number).into(),
        };
        self.arguments.iter().map(value).collect()
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn call(&mut self) -> Result<Call, String> {
        let begun = self.rest;
        let name = self.name()?;
        self.sign('(', &format!("`{name}` is followed by its arguments in parentheses"))?;
        let mut arguments = Vec::new();
        while !self.peek(')') {
            if !arguments.is_empty() {
                self.sign(',', &format!("the arguments of `{name}` are separated by commas and end with `)`"))?;
            }
            arguments.push(self.argument()?);
        }
        self.sign(')', "")?;
        let text = begun[..begun.len() - self.rest.len()].trim().to_owned();
        Ok(Call { action: name, arguments, text })
    }

    fn argument(&mut self) -> Result<Argument, String> {
        self.rest = self.rest.trim_start();
        match self.rest.chars().next() {
            Some('"') => Ok(Argument::Text(Template::parse(&self.text()?)?)),
            Some(sign) if sign.is_ascii_digit() || sign == '-' => {
                let digits = self.rest[1..].find(|c: char| !c.is_ascii_digit()).map_or(self.rest.len(), |at| at + 1);
                let (number, rest) = self.rest.split_at(digits);
                self.rest = rest;
                number.parse().map(Argument::Number).map_err(|_| format!("`{number}` is no whole number"))
            }
            _ => self.name().map(Argument::Column),
        }
    }

    fn text(&mut self) -> Result<String, String> {
        let mut text = String::new();
        let mut signs = self.rest.char_indices().skip(1);
        while let Some((at, sign)) = signs.next() {
            match sign {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(text);
                }
                '\\' => match signs.next().map(|(_, sign)| sign) {
                    Some('n') => text.push('\n'),
                    Some(sign @ ('"' | '\\')) => text.push(sign),
                    other => return Err(format!("`\\{}` is nothing that a text knows", other.unwrap_or(' '))),
                },
                sign => text.push(sign),
            }
        }
        Err("a text is not closed by a quote".to_owned())
    }

    fn name(&mut self) -> Result<String, String> {
        self.rest = self.rest.trim_start();
        let end = self.rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        if !is_name(name) {
            let found: String = self.rest.chars().take(12).collect();
            return Err(format!("`{found}` is no action or column"));
        }
        self.rest = rest;
        Ok(name.to_owned())
    }

    fn peek(&mut self, sign: char) -> bool {
        self.rest = self.rest.trim_start();
        self.rest.starts_with(sign)
    }

    fn sign(&mut self, sign: char, otherwise: &str) -> Result<(), String> {
        self.rest = self.rest.trim_start();
        self.rest = self.rest.strip_prefix(sign).ok_or_else(|| otherwise.to_owned())?;
        Ok(())
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_') && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}
