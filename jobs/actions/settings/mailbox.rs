//! An address of mail, perhaps with a name: `Stellwerk <stellwerk@acme.example>`.

/// An address that can stand in a header and in a command of SMTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// Whose it is.
    pub name: Option<String>,
    /// `local@domain`, in ASCII.
    pub address: String,
}

impl Mailbox {
    /// Reads one; `None` for what is none. Quoted local parts are not taken.
    pub fn parse(text: &str) -> Option<Mailbox> {
        let text = text.trim();
        let (name, address) = match text.strip_suffix('>') {
            Some(rest) => {
                rest.split_once('<').map(|(name, address)| (name.trim().trim_matches('"'), address.trim()))?
            }
            None => ("", text),
        };
        let (local, domain) = address.rsplit_once('@')?;
        let is_atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
        let is_domain = |c: char| c.is_ascii_alphanumeric() || "-.[]:".contains(c);
        let fits = !local.is_empty()
            && local.len() <= 64
            && local.chars().all(is_atom)
            && !domain.is_empty()
            && domain.len() <= 253
            && domain.chars().all(is_domain)
            && !name.contains(|c: char| c.is_control() || "<>\"".contains(c));
        let name = Some(name).filter(|name| !name.is_empty()).map(str::to_owned);
        fits.then(|| Mailbox { name, address: address.to_owned() })
    }

    /// What stands behind the `@`.
    pub fn domain(&self) -> &str {
        self.address.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_nothing_else_is() {
        let read = |text: &str| Mailbox::parse(text).map(|m| (m.name.unwrap_or_default(), m.address));
        for (text, name, address) in [
            ("a.b+c@x.example", "", "a.b+c@x.example"),
            ("Otto Müller <otto@x.example>", "Otto Müller", "otto@x.example"),
            ("\"Ops, all\" <ops@x.example>", "Ops, all", "ops@x.example"),
        ] {
            assert_eq!(read(text), Some((name.to_owned(), address.to_owned())), "{text}");
        }
        for wrong in
            ["", "nobody", "@x", "a@", "a b@x", "<a@x> b", "a@x>\r\nRCPT TO:<b@x", "A\r\nBcc: b <a@x>", "a@x y", "ü@x"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
