//! Secrets by reference: `env:NAME` or `file:PATH`. The value is read when it is needed, so that a rotated one is found.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use engine::{Error, Kind, Result};

/// Where a secret lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// In a variable of the environment.
    Env(String),
    /// In a file, white space around it left out.
    File(PathBuf),
}

impl FromStr for SecretRef {
    type Err = Error;

    fn from_str(words: &str) -> Result<SecretRef> {
        match words.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(SecretRef::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(SecretRef::File(path.into())),
            // The words may be the secret itself: they are not repeated.
            _ => Err(Error::invalid("a secret is given as env:NAME or file:PATH, never as itself")),
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretRef::Env(name) => write!(f, "env:{name}"),
            SecretRef::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl SecretRef {
    /// The secret as it is now.
    pub fn read(&self) -> Result<String> {
        let value = match self {
            SecretRef::Env(name) => {
                std::env::var(name).map_err(|_| Error::new(Kind::Denied, format!("the variable {name} is not set")))?
            }
            SecretRef::File(path) => std::fs::read_to_string(path)
                .map_err(|e| Error::new(Kind::Denied, format!("read the secret in {}: {e}", path.display())))?,
        };
        let value = value.trim();
        if value.is_empty() || value.contains(|c: char| c.is_control()) {
            return Err(Error::new(Kind::Denied, format!("the secret of {self} is empty or has several lines")));
        }
        Ok(value.to_owned())
    }
}
