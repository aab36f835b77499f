//! CycloneDX in XML: brought into the shape of its JSON, also the extension by which older versions put vulnerabilities
//! into components.

use serde_json::{Map, Value, json};

use crate::markup::{Element, attribute};

/// Elements that hold a list.
const LISTS: &[&str] = &[
    "components",
    "services",
    "vulnerabilities",
    "ratings",
    "affects",
    "cwes",
    "advisories",
    "references",
    "hashes",
    "licenses",
    "tools",
    "authors",
    "responses",
    "recommendations",
];

/// The document as its JSON would be; `None` where the text is no CycloneDX.
pub fn document_of(text: &str) -> Option<Value> {
    let root = Element::read(text).filter(|root| root.name == "bom" && root.attributes.contains("cyclonedx"))?;
    let mut document = Map::new();
    document.insert("bomFormat".to_owned(), json!("CycloneDX"));
    let version = root.attributes.split("schema/bom/").nth(1).and_then(|rest| rest.split(['"', '\'']).next());
    document.extend(version.map(|version| ("specVersion".to_owned(), json!(version))));
    for name in ["serialNumber", "version"] {
        document.extend(attribute(&root.attributes, name).map(|value| (name.to_owned(), json!(value))));
    }
    for part in root.children.iter().filter(|part| part.name != "dependencies") {
        document.insert(part.name.clone(), value(part));
    }
    let needs = root.child("dependencies").into_iter().flat_map(|list| &list.children).map(dependency);
    document.insert("dependencies".to_owned(), needs.collect());
    let mut document = Value::Object(document);
    hoist(&mut document);
    Some(document)
}

fn dependency(element: &Element) -> Value {
    let reference = |element: &Element| attribute(&element.attributes, "ref");
    json!({"ref": reference(element), "dependsOn": element.children.iter().filter_map(reference).collect::<Vec<_>>()})
}

fn value(element: &Element) -> Value {
    match element.name.as_str() {
        "hash" => return json!({"alg": attribute(&element.attributes, "alg"), "content": element.text}),
        "license" => return json!({"license": members(element)}),
        "expression" => return json!({"expression": element.text}),
        "cwe" => return element.text.parse::<i64>().map_or(Value::Null, |cwe| json!(cwe)),
        "advisory" if element.children.is_empty() => return json!({"url": element.text}),
        name if LISTS.contains(&name) => return element.children.iter().map(value).collect(),
        _ => {}
    }
    // Version 1.0 of the extension writes a score in parts.
    if element.name == "score" && !element.children.is_empty() {
        return json!(element.text_of("base"));
    }
    if element.children.is_empty() && !["component", "service", "target", "source"].contains(&element.name.as_str()) {
        return json!(element.text);
    }
    Value::Object(members(element))
}

fn members(element: &Element) -> Map<String, Value> {
    let mut members = Map::new();
    for name in ["type", "bom-ref", "ref", "name"] {
        members.extend(attribute(&element.attributes, name).map(|value| (name.to_owned(), json!(value))));
    }
    for child in &element.children {
        let name = if child.name == "responses" { "response" } else { child.name.as_str() };
        members.insert(name.to_owned(), value(child));
    }
    members
}

/// Vulnerabilities that stand in components move to the document, where JSON has them.
fn hoist(document: &mut Value) {
    let mut found = Vec::new();
    let mut made = 0;
    take_out(document.get_mut("components"), &mut found, &mut made);
    if let Some(list) =
        document.as_object_mut().map(|members| members.entry("vulnerabilities").or_insert_with(|| json!([])))
        && let Some(list) = list.as_array_mut()
    {
        list.extend(found);
    }
}

fn take_out(components: Option<&mut Value>, found: &mut Vec<Value>, made: &mut usize) {
    for component in components.and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(members) = component.as_object_mut() else { continue };
        let listed = members.remove("vulnerabilities");
        if let Some(Value::Array(listed)) = listed {
            *made += 1;
            let reference = members.entry("bom-ref").or_insert_with(|| json!(format!("component-{made}"))).clone();
            for mut vulnerability in listed {
                vulnerability["affects"] = json!([{"ref": reference}]);
                found.push(vulnerability);
            }
        }
        take_out(members.get_mut("components"), found, made);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_same_as_in_json() {
        let text = r#"<?xml version="1.0"?><bom xmlns="http://cyclonedx.org/schema/bom/1.4" serialNumber="urn:uuid:1" version="1">
            <metadata><timestamp>2026-01-01T00:00:00Z</timestamp><component type="application" bom-ref="r"><name>shop</name></component></metadata>
            <components><component type="library" bom-ref="a"><name>a</name><version>1</version><purl>pkg:npm/a@1</purl>
              <hashes><hash alg="SHA-1">ff</hash></hashes><licenses><license><id>MIT</id></license></licenses></component>
              <component type="library"><name>b</name><v:vulnerabilities><v:vulnerability ref="x"><v:id>CVE-2024-2</v:id>
              <v:ratings><v:rating><v:score><v:base>9.1</v:base></v:score><v:severity>Critical</v:severity></v:rating></v:ratings></v:vulnerability></v:vulnerabilities></component></components>
            <dependencies><dependency ref="r"><dependency ref="a"/></dependency></dependencies>
            <vulnerabilities><vulnerability><id>CVE-2024-1</id><cwes><cwe>79</cwe></cwes><affects><target><ref>a</ref></target></affects>
              <analysis><state>in_triage</state></analysis></vulnerability></vulnerabilities></bom>"#;
        let report = super::super::read(&document_of(text).unwrap()).unwrap();
        assert!(report.refused.is_empty(), "{:?}", report.refused);
        let told: Vec<_> =
            report.findings.iter().map(|f| (f.rule_id.as_str(), f.component.as_deref(), f.severity.normal)).collect();
        assert_eq!(told, [("CVE-2024-1", Some("a"), None), ("CVE-2024-2", Some("b"), Some("critical"))]);
        let bom = report.bom.unwrap();
        assert_eq!(
            (bom.components.len(), bom.dependencies.len(), bom.components[0].licences.as_deref()),
            (2, 1, Some("MIT"))
        );
        assert_eq!(bom.components[0].hashes.as_deref(), Some("{\"SHA-1\":\"ff\"}"));
        assert!(document_of("<html></html>").is_none());
    }
}
