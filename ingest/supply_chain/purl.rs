//! Package URLs: read, and brought into one form, so that two tools that name a package mean the same one.

/// A package URL in parts; qualifiers and subpath are only read where they say what the package is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purl {
    /// `npm`, `deb`, `maven` …, in small letters.
    pub kind: String,
    /// Group, scope or distribution, where there is one.
    pub namespace: Option<String>,
    /// Name of the package.
    pub name: String,
    /// Version, with the epoch in front where a qualifier names it.
    pub version: Option<String>,
}

/// Package kinds whose namespace is a distribution and says nothing about which software it is.
const DISTRIBUTED: &[&str] = &["deb", "rpm", "apk", "alpm", "qpkg"];
/// Package kinds whose names are the same in small and capital letters.
const FOLDED: &[&str] =
    &["npm", "pypi", "golang", "github", "bitbucket", "composer", "deb", "apk", "oci", "docker", "hex"];

impl Purl {
    /// Reads a package URL; `None` where the text is none.
    pub fn read(text: &str) -> Option<Purl> {
        let rest = text.trim().strip_prefix("pkg:")?.trim_start_matches('/');
        let rest = rest.split('#').next().unwrap_or(rest);
        let (rest, qualifiers) = rest.split_once('?').unwrap_or((rest, ""));
        let (kind, path) = rest.split_once('/')?;
        // A scope begins with an at sign, so the version is behind the last one, and never before a slash.
        let (path, version) = match path.rsplit_once('@') {
            Some((before, version)) if !before.is_empty() && !version.contains('/') => (before, Some(decode(version))),
            _ => (path, None),
        };
        let (namespace, name) = match path.trim_end_matches('/').rsplit_once('/') {
            Some((namespace, name)) => (Some(decode(namespace)), decode(name)),
            None => (None, decode(path.trim_end_matches('/'))),
        };
        let kind = kind.to_ascii_lowercase();
        let fold = |words: String| if FOLDED.contains(&kind.as_str()) { words.to_lowercase() } else { words };
        let name = if kind == "pypi" { fold(name).replace('_', "-") } else { fold(name) };
        let epoch = qualifiers.split('&').find_map(|pair| pair.strip_prefix("epoch="));
        let version = version.filter(|version| !version.is_empty()).map(|version| match epoch {
            Some(epoch) if epoch != "0" && !version.contains(':') => format!("{epoch}:{version}"),
            _ => version,
        });
        let namespace = namespace.map(fold).filter(|namespace| !namespace.is_empty());
        (!name.is_empty() && !kind.is_empty()).then_some(Purl { kind, namespace, name, version })
    }

    /// The package without its version: `pkg:npm/%40a/b` is `pkg:npm/@a/b`.
    pub fn package(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("pkg:{}/{namespace}/{}", self.kind, self.name),
            None => format!("pkg:{}/{}", self.kind, self.name),
        }
    }

    /// The package with its version, without qualifiers.
    pub fn normal(&self) -> String {
        match &self.version {
            Some(version) => format!("{}@{version}", self.package()),
            None => self.package(),
        }
    }

    /// The name by which tools that write no package URL call it: with its group, without its distribution.
    pub fn plain_name(&self) -> String {
        match &self.namespace {
            Some(namespace) if !DISTRIBUTED.contains(&self.kind.as_str()) => format!("{namespace}/{}", self.name),
            _ => self.name.clone(),
        }
    }
}

/// The name of a package in the form that tools share: `group:name` is `group/name`, in small letters.
pub fn shared_name(name: &str) -> String {
    name.trim().replace(':', "/").to_lowercase()
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%').then(|| bytes.get(at + 1..at + 3)).flatten();
        let byte = escaped.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        out.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_urls_in_one_form() {
        for (text, normal, plain) in [
            ("pkg:npm/%40angular/core@1.2.3?x=y#sub", "pkg:npm/@angular/core@1.2.3", "@angular/core"),
            ("pkg:npm/@angular/core", "pkg:npm/@angular/core", "@angular/core"),
            (
                "pkg:deb/debian/libssl1.1@1.1.1d-0?arch=amd64&epoch=1",
                "pkg:deb/debian/libssl1.1@1:1.1.1d-0",
                "libssl1.1",
            ),
            ("pkg:maven/org.apache/Log4j@2.0", "pkg:maven/org.apache/Log4j@2.0", "org.apache/Log4j"),
            ("pkg:pypi/Django_Rest@1", "pkg:pypi/django-rest@1", "django-rest"),
            ("pkg:golang/github.com/A/b@v1.0", "pkg:golang/github.com/a/b@v1.0", "github.com/a/b"),
            ("pkg:rpm/centos/x@1%2B2", "pkg:rpm/centos/x@1+2", "x"),
        ] {
            let purl = Purl::read(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((purl.normal().as_str(), purl.plain_name().as_str()), (normal, plain), "{text}");
        }
        for text in ["", "npm/x", "pkg:", "pkg:npm", "pkg:npm/"] {
            assert_eq!(Purl::read(text), None, "{text}");
        }
        assert_eq!(decode("%zz%2"), "%zz%2");
    }
}
