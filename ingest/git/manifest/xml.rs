//! Manifests in XML: Maven and .NET.

use super::Manifest;
use crate::json::Reason;
use crate::markup::{Element, attribute};

fn root(body: &str, name: &str) -> Result<Element, Reason> {
    Element::read(body).filter(|root| root.name == name).ok_or_else(|| format!("it has no element {name}"))
}

/// Maven: properties of the same file are put in; a parent's are not known here.
pub fn pom(body: &str) -> Result<Manifest, Reason> {
    let project = root(body, "project")?;
    let parent = project.child("parent");
    let own = |name: &str| project.text_of(name).or_else(|| parent.and_then(|parent| parent.text_of(name)));
    let (group, version) = (own("groupId"), own("version"));
    let resolve = |text: String| {
        let name = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        let known = name.and_then(|name| match name {
            "project.version" => version.clone(),
            "project.groupId" => group.clone(),
            name => project.child("properties")?.text_of(name),
        });
        known.unwrap_or(text)
    };
    let artifact = project.text_of("artifactId");
    let licences: Vec<String> = project
        .child("licenses")
        .into_iter()
        .flat_map(|list| &list.children)
        .filter_map(|one| one.text_of("name"))
        .collect();
    let mut manifest = Manifest {
        ecosystem: "maven",
        name: artifact
            .map(|artifact| group.clone().map_or_else(|| artifact.clone(), |group| format!("{group}:{artifact}"))),
        version: version.clone(),
        licences: (!licences.is_empty()).then(|| licences.join(" OR ")),
        description: project.text_of("description"),
        dependencies: Vec::new(),
    };
    for (section, managed) in [(Some(&project), false), (project.child("dependencyManagement"), true)] {
        let listed =
            section.and_then(|section| section.child("dependencies")).into_iter().flat_map(|list| &list.children);
        for need in listed.filter(|need| need.name == "dependency") {
            let (Some(group), Some(artifact)) = (need.text_of("groupId"), need.text_of("artifactId")) else { continue };
            let scope = match need.text_of("scope").as_deref() {
                _ if managed => "managed".to_owned(),
                None | Some("compile") => "runtime".to_owned(),
                Some(other) => other.to_owned(),
            };
            manifest.need(&scope, format!("{}:{artifact}", resolve(group)), need.text_of("version").map(&resolve));
        }
    }
    Ok(manifest)
}

/// .NET projects and central package versions.
pub fn project(body: &str) -> Result<Manifest, Reason> {
    let project = root(body, "Project")?;
    let all = project.all();
    let first = |name: &str| all.iter().find(|element| element.name == name).map(|element| element.text.clone());
    let first = |name: &str| first(name).filter(|text| !text.is_empty());
    let mut manifest = Manifest {
        ecosystem: "nuget",
        name: first("PackageId").or_else(|| first("AssemblyName")),
        // A version within a reference is the reference's.
        version: all
            .iter()
            .filter(|element| element.name == "PropertyGroup")
            .find_map(|group| group.text_of("Version")),
        licences: first("PackageLicenseExpression"),
        description: first("Description"),
        dependencies: Vec::new(),
    };
    for (name, scope) in [("PackageReference", "runtime"), ("PackageVersion", "managed")] {
        for need in all.iter().filter(|element| element.name == name) {
            let Some(package) =
                attribute(&need.attributes, "Include").or_else(|| attribute(&need.attributes, "Update"))
            else {
                continue;
            };
            let version = attribute(&need.attributes, "Version").or_else(|| need.text_of("Version"));
            manifest.need(scope, package, version);
        }
    }
    Ok(manifest)
}

/// NuGet's older list.
pub fn packages_config(body: &str) -> Result<Manifest, Reason> {
    let packages = root(body, "packages")?;
    let mut manifest = Manifest { ecosystem: "nuget", ..Manifest::default() };
    for need in packages.children.iter().filter(|need| need.name == "package") {
        let development = attribute(&need.attributes, "developmentDependency").as_deref() == Some("true");
        let scope = if development { "development" } else { "runtime" };
        manifest.need(
            scope,
            attribute(&need.attributes, "id").unwrap_or_default(),
            attribute(&need.attributes, "version"),
        );
    }
    Ok(manifest)
}
