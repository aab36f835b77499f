//! Documents of a folder, parsed at the door: each error has its file and line, and all of them are told at once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::{Error, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use super::entity::{
    ApplicationSpec, CostCenterSpec, DataClassSpec, Document, EVERY_SERVICE, Entity, EntityKey, EntityKind, GrantSpec,
    MemberSpec, Metadata, ObjectiveSpec, ProjectSpec, TeamMember, TeamSpec, TenantSpec,
};

/// The version of our own documents.
pub const API_VERSION: &str = "stellwerk/v1";
/// What the versions of Backstage's documents begin with.
const BACKSTAGE: &str = "backstage.io/";
/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Files of one folder.
const FILES_MAX: usize = 10_000;
/// Documents of one folder.
const DOCUMENTS_MAX: usize = 50_000;
/// Folders inside each other.
const DEPTH_MAX: usize = 16;
/// Errors that are told.
const FAULTS_SHOWN_MAX: usize = 50;
/// Bytes of a name.
const NAME_BYTES_MAX: usize = 63;
/// The tenant of documents without a namespace, as Backstage has it.
const DEFAULT_TENANT: &str = "default";

/// Where something was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub file: Arc<str>,
    pub line: usize,
}

/// What is wrong with a folder of documents.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<(Place, String)>);

impl Faults {
    pub fn add(&mut self, place: &Place, what: impl Into<String>) {
        self.0.push((place.clone(), what.into()));
    }

    /// One error that names all of them, a line each.
    pub fn none(self) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let shown = self.0.iter().take(FAULTS_SHOWN_MAX).map(|(at, what)| format!("{}:{}: {what}", at.file, at.line));
        let mut lines: Vec<String> = shown.collect();
        if self.0.len() > FAULTS_SHOWN_MAX {
            lines.push(format!("and {} more", self.0.len() - FAULTS_SHOWN_MAX));
        }
        Err(Error::invalid(lines.join("\n")))
    }
}

/// Something that must be there for a document to make sense.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    pub field: &'static str,
    /// What it may be: one of these kinds.
    pub kinds: &'static [EntityKind],
    /// The tenant, if it is named; else the document's own, then what is shared.
    pub tenant: Option<String>,
    pub id: String,
    pub place: Place,
}

/// A document, read.
#[derive(Debug, Clone)]
pub(super) struct Read {
    pub entity: Entity,
    pub place: Place,
    pub references: Vec<Reference>,
    /// A team's parent, and the teams that it calls its children.
    pub parent: Option<Reference>,
    pub children: Vec<Reference>,
    /// A team's members with their roles.
    pub members: Vec<(String, String)>,
    /// A member's teams.
    pub member_of: Vec<String>,
    pub grant: Option<GrantSpec>,
}

/// Every document of a folder or a file.
pub(super) fn read_folder(folder: &Path) -> Result<Vec<Read>> {
    let mut files = Vec::new();
    walk(folder, 0, &mut files)?;
    files.sort();
    if files.is_empty() {
        return Err(Error::invalid(format!("{} holds no file that ends in .yaml or .yml", folder.display())));
    }
    let (mut read, mut faults) = (Vec::new(), Faults::default());
    for file in files {
        let doing = || format!("read {}", file.display());
        let bytes = std::fs::metadata(&file).map_err(|e| Error::unavailable(&doing(), e))?.len();
        if bytes > FILE_BYTES_MAX {
            return Err(Error::invalid(format!(
                "{} has {bytes} bytes, at most {FILE_BYTES_MAX} are read",
                file.display()
            )));
        }
        let text = std::fs::read_to_string(&file).map_err(|e| Error::invalid(format!("{}: {e}", doing())))?;
        let name = file.strip_prefix(folder).ok().filter(|name| !name.as_os_str().is_empty()).unwrap_or(&file);
        read_text(&text, &name.display().to_string(), &mut read, &mut faults);
        if read.len() > DOCUMENTS_MAX {
            return Err(Error::invalid(format!("{} holds more than {DOCUMENTS_MAX} documents", folder.display())));
        }
    }
    faults.none()?;
    Ok(read)
}

/// Documents of a request.
pub(super) fn read_entities(entities: &[Json]) -> Result<Vec<Read>> {
    if entities.len() > DOCUMENTS_MAX {
        return Err(Error::invalid(format!("more than {DOCUMENTS_MAX} documents")));
    }
    let (mut read, mut faults) = (Vec::new(), Faults::default());
    for (at, entity) in entities.iter().enumerate() {
        // JSON is YAML; a document a line has the line of its fields.
        let text = serde_json::to_string_pretty(entity).expect("JSON is JSON");
        read_text(&text, &format!("entities[{at}]"), &mut read, &mut faults);
    }
    faults.none()?;
    Ok(read)
}

fn walk(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let doing = || format!("read {}", path.display());
    if path.is_file() {
        files.push(path.to_owned());
        return Ok(());
    }
    if depth > DEPTH_MAX {
        return Err(Error::invalid(format!("{}: folders lie more than {DEPTH_MAX} deep", path.display())));
    }
    for entry in std::fs::read_dir(path).map_err(|e| Error::invalid(format!("{}: {e}", doing())))? {
        let entry = entry.map_err(|e| Error::unavailable(&doing(), e))?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            walk(&path, depth + 1, files)?;
        } else if name.ends_with(".yaml") || name.ends_with(".yml") {
            files.push(path);
        }
        if files.len() > FILES_MAX {
            return Err(Error::invalid(format!("more than {FILES_MAX} files")));
        }
    }
    Ok(())
}

/// The documents of a text, each with the line that it begins behind.
fn documents(text: &str) -> Vec<(usize, String)> {
    let mut documents = vec![(0, String::new())];
    for (number, line) in text.lines().enumerate() {
        if line.trim_end() == "---" || line.starts_with("--- ") {
            documents.push((number + 1, String::new()));
        } else if let Some((_, document)) = documents.last_mut() {
            document.push_str(line);
            document.push('\n');
        }
    }
    let said = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    documents.retain(|(_, document)| document.lines().any(said));
    documents
}

pub(super) fn read_text(text: &str, file: &str, read: &mut Vec<Read>, faults: &mut Faults) {
    let file: Arc<str> = file.into();
    for (offset, text) in documents(text) {
        let source = Source { file: file.clone(), offset, text: &text };
        match source.read() {
            Ok(one) => read.push(one),
            Err((place, what)) => faults.add(&place, what),
        }
    }
}

/// What is looked at before the whole document: its kind says what the rest is.
#[derive(Deserialize)]
struct Kinded {
    kind: String,
    #[serde(rename = "apiVersion")]
    api_version: String,
}

type Fault = (Place, String);

/// One document and where it stands.
struct Source<'a> {
    file: Arc<str>,
    offset: usize,
    text: &'a str,
}

impl Source<'_> {
    fn place(&self, line: usize) -> Place {
        Place { file: self.file.clone(), line: self.offset + line }
    }

    /// The first line with this key, or the one below it that has the value.
    fn line_of(&self, key: &str, value: &str) -> Place {
        let lines: Vec<&str> = self.text.lines().collect();
        let is_key = |line: &&str| {
            let line = line.trim_start().trim_start_matches("- ").trim_start_matches('"');
            line.strip_prefix(key).is_some_and(|rest| rest.starts_with([':', '"']))
        };
        let Some(at) = lines.iter().position(|line| is_key(line)) else { return self.place(self.first()) };
        let value = lines[at..].iter().position(|line| !value.is_empty() && line.contains(value)).unwrap_or(0);
        self.place(at + value + 1)
    }

    /// The document's own first line.
    fn first(&self) -> usize {
        self.text.lines().position(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')).unwrap_or(0)
            + 1
    }

    fn parsed<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        serde_yaml_ng::from_str(self.text).map_err(|error| {
            let line = error.location().map_or(self.first(), |at| at.line());
            let text = error.to_string();
            // The line is told in front, as the file's.
            let text = text.split(" at line ").next().unwrap_or(&text).to_owned();
            (self.place(line), text)
        })
    }

    fn read(&self) -> Result<Read, Fault> {
        let Kinded { kind, api_version } = self.parsed()?;
        if api_version != API_VERSION && !api_version.starts_with(BACKSTAGE) {
            let what = format!("apiVersion {api_version} is not known: {API_VERSION}, or Backstage's");
            return Err((self.line_of("apiVersion", ""), what));
        }
        let known = EntityKind::parse(&kind);
        let kind = known.ok_or_else(|| {
            let kinds = EntityKind::ALL.map(EntityKind::as_str).join(", ");
            (
                self.line_of("kind", ""),
                format!("kind {kind} is not known: {kinds}; of Backstage: Group, User, Component, System"),
            )
        })?;
        match kind {
            EntityKind::Tenant => self.tenant(),
            EntityKind::Project => self.project(),
            EntityKind::Team => self.team(),
            EntityKind::Member => self.member(),
            EntityKind::CostCenter => self.cost_center(),
            EntityKind::Application => self.application(),
            EntityKind::DataClass => self.data_class(),
            EntityKind::Grant => self.grant(),
            EntityKind::Objective => self.objective(),
        }
    }

    /// The parts that every kind has.
    fn whole(&self, kind: EntityKind, metadata: Metadata, owner: Option<&String>, spec: Json) -> Result<Read, Fault> {
        let Metadata { name, namespace, title, description, labels, annotations, tags, links } = metadata;
        self.checked("name", &name)?;
        let tenant = match (kind, namespace) {
            (EntityKind::Tenant, None) => name.clone(),
            (EntityKind::Tenant, Some(named)) if named == name => named,
            (EntityKind::Tenant, Some(named)) => {
                let what = format!("a tenant is its own namespace: {name}, not {named}");
                return Err((self.line_of("namespace", &named), what));
            }
            (_, Some(named)) => {
                self.checked("namespace", &named)?;
                named
            }
            (kind, None) if kind.may_be_shared() => engine::query_log::PLATFORM.to_owned(),
            (_, None) => DEFAULT_TENANT.to_owned(),
        };
        let mut more = serde_json::Map::new();
        let parts = [
            ("labels", json!(labels)),
            ("annotations", json!(annotations)),
            ("tags", json!(tags)),
            ("links", json!(links)),
        ];
        let said = |part: &Json| {
            part.as_object().map_or_else(|| part.as_array().is_some_and(|a| !a.is_empty()), |o| !o.is_empty())
        };
        more.extend(parts.into_iter().filter(|(_, part)| said(part)).map(|(name, part)| (name.to_owned(), part)));
        let key = EntityKey { tenant, kind, id: name };
        let entity = Entity { key, title, description, owner: owner.cloned(), spec, labels: Json::Object(more) };
        Ok(Read {
            entity,
            place: self.place(self.first()),
            references: Vec::new(),
            parent: None,
            children: Vec::new(),
            members: Vec::new(),
            member_of: Vec::new(),
            grant: None,
        })
    }

    fn checked(&self, field: &str, name: &str) -> Result<(), Fault> {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        let inner = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let fits = edge(name.chars().next()) && edge(name.chars().last()) && name.chars().all(inner);
        if fits && name.len() <= NAME_BYTES_MAX {
            return Ok(());
        }
        let what = format!(
            "{field} {name:?}: 1 to {NAME_BYTES_MAX} letters, digits, dots, dashes or underlines, with a letter or digit at both ends"
        );
        Err((self.line_of(field, name), what))
    }

    /// `[kind:][tenant/]name`, as Backstage writes it.
    fn reference(&self, field: &'static str, kinds: &'static [EntityKind], text: &str) -> Result<Reference, Fault> {
        let place = self.line_of(field, text);
        let (kind, rest) = text.split_once(':').map_or((None, text), |(kind, rest)| (Some(kind), rest));
        if let Some(named) = kind {
            let capital = named[..named.len().min(1)].to_uppercase() + named.get(1..).unwrap_or_default();
            let fits = EntityKind::parse(&capital).is_some_and(|kind| kinds.contains(&kind));
            if !fits {
                let wanted = kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(" or ");
                return Err((place, format!("{field}: {text} is no {wanted}")));
            }
        }
        let (tenant, id) = rest.split_once('/').map_or((None, rest), |(tenant, id)| (Some(tenant.to_owned()), id));
        if id.is_empty() || id.contains('/') {
            return Err((place, format!("{field}: {text:?} names nothing")));
        }
        Ok(Reference { field, kinds, tenant, id: id.to_owned(), place })
    }

    fn references(
        &self,
        wanted: &[(&'static str, &'static [EntityKind], &Option<String>)],
    ) -> Result<Vec<Reference>, Fault> {
        let said = wanted.iter().filter_map(|(field, kinds, text)| text.as_deref().map(|text| (*field, *kinds, text)));
        said.map(|(field, kinds, text)| self.reference(field, kinds, text)).collect()
    }

    fn tenant(&self) -> Result<Read, Fault> {
        let Document { metadata, spec, .. } = self.parsed::<Document<TenantSpec>>()?;
        let references = self.references(&[
            ("owner", OWNERS, &spec.owner),
            ("costCenter", COST_CENTER, &spec.cost_center),
            ("dataClass", DATA_CLASS, &spec.data_class),
        ])?;
        Ok(Read { references, ..self.whole(EntityKind::Tenant, metadata, spec.owner.as_ref(), json!(spec))? })
    }

    fn project(&self) -> Result<Read, Fault> {
        let Document { metadata, spec, .. } = self.parsed::<Document<ProjectSpec>>()?;
        let references = self.references(&[
            ("owner", OWNERS, &spec.owner),
            ("costCenter", COST_CENTER, &spec.cost_center),
            ("dataClass", DATA_CLASS, &spec.data_class),
        ])?;
        Ok(Read { references, ..self.whole(EntityKind::Project, metadata, spec.owner.as_ref(), json!(spec))? })
    }

    fn team(&self) -> Result<Read, Fault> {
        let Document { metadata, spec, .. } = self.parsed::<Document<TeamSpec>>()?;
        let parent = spec.parent.as_deref().map(|parent| self.reference("parent", TEAM, parent)).transpose()?;
        let children = spec.children.iter().map(|child| self.reference("children", TEAM, child));
        let children = children.collect::<Result<Vec<_>, Fault>>()?;
        let references = spec.members.iter().map(|member| self.reference("members", MEMBER, member.name()));
        let references = references.collect::<Result<Vec<_>, Fault>>()?;
        let roles = spec.members.iter().map(TeamMember::role);
        let members = references.iter().zip(roles).map(|(member, role)| (member.id.clone(), role.to_owned())).collect();
        let whole = self.whole(EntityKind::Team, metadata, None, json!(spec))?;
        let own = &whole.entity.key.tenant;
        let other = |relative: &&Reference| relative.tenant.as_ref().is_some_and(|tenant| tenant != own);
        if let Some(other) = parent.iter().chain(&children).find(other) {
            return Err((
                other.place.clone(),
                format!("{}: teams above and below are of the same tenant", other.field),
            ));
        }
        Ok(Read { references, parent, children, members, ..whole })
    }

    fn member(&self) -> Result<Read, Fault> {
        let Document { metadata, spec, .. } = self.parsed::<Document<MemberSpec>>()?;
        let references = spec.member_of.iter().map(|team| self.reference("memberOf", TEAM, team));
        let references = references.collect::<Result<Vec<_>, Fault>>()?;
        spec.roles.iter().try_for_each(|role| self.checked("roles", role))?;
        let member_of = references.iter().map(|team| team.id.clone()).collect();
        Ok(Read { references, member_of, ..self.whole(EntityKind::Member, metadata, None, json!(spec))? })
    }

    fn cost_center(&self) -> Result<Read, Fault> {
        let Document { metadata, spec, .. } = self.parsed::<Document<CostCenterSpec>>()?;
        let references = self.references(&[("parent", COST_CENTER, &spec.parent), ("owner", OWNERS, &spec.owner)])?;
        Ok(Read { references, ..self.whole(EntityKind::CostCenter, metadata, spec.owner.as_ref(), json!(spec))? })
    }

    fn application(&self) -> Result<Read, Fault> {
        let Document { metadata, spec, .. } = self.parsed::<Document<ApplicationSpec>>()?;
        // What Backstage's components depend on may be APIs and resources, which are not kept here.
        let references = self.references(&[
            ("owner", OWNERS, &spec.owner),
            (if self.text.contains("system:") { "system" } else { "project" }, PROJECT, &spec.project),
            ("costCenter", COST_CENTER, &spec.cost_center),
            ("dataClass", DATA_CLASS, &spec.data_class),
            ("subcomponentOf", APPLICATION, &spec.subcomponent_of),
        ])?;
        Ok(Read { references, ..self.whole(EntityKind::Application, metadata, spec.owner.as_ref(), json!(spec))? })
    }

    fn data_class(&self) -> Result<Read, Fault> {
        let Document { metadata, spec, .. } = self.parsed::<Document<DataClassSpec>>()?;
        self.whole(EntityKind::DataClass, metadata, None, json!(spec))
    }

    fn objective(&self) -> Result<Read, Fault> {
        let Document { metadata, spec, .. } = self.parsed::<Document<ObjectiveSpec>>()?;
        if spec.service.trim().is_empty() {
            let what =
                format!("service: the name that its spans have, or {EVERY_SERVICE} for those without an objective");
            return Err((self.line_of("service", ""), what));
        }
        // Nothing can be held against an objective without a budget of failures.
        if !(spec.target > 0.0 && spec.target < 100.0) {
            let what = format!("target: {} is no percentage of requests above 0 and below 100", spec.target);
            return Err((self.line_of("target", ""), what));
        }
        let references = self.references(&[("owner", OWNERS, &spec.owner)])?;
        Ok(Read { references, ..self.whole(EntityKind::Objective, metadata, spec.owner.as_ref(), json!(spec))? })
    }

    fn grant(&self) -> Result<Read, Fault> {
        let Document { metadata, spec, .. } = self.parsed::<Document<GrantSpec>>()?;
        let mut references = Vec::new();
        match spec.to.split_once(':') {
            Some(("role", role)) => self.checked("to", role)?,
            Some(("team" | "group", team)) => {
                let team = self.reference("to", TEAM, team)?;
                if team.tenant.is_none() {
                    return Err((team.place, format!("to: {} names no tenant: team:TENANT/TEAM", spec.to)));
                }
                references.push(team);
            }
            _ => {
                return Err((
                    self.line_of("to", ""),
                    format!("to: {} is neither team:TENANT/TEAM nor role:NAME", spec.to),
                ));
            }
        }
        for tenant in &spec.tenants {
            references.push(self.reference("tenants", TENANT, tenant)?);
        }
        let whole = self.whole(EntityKind::Grant, metadata, None, json!(spec))?;
        let own = &whole.entity.key.tenant;
        let shared = own == engine::query_log::PLATFORM;
        if shared && spec.tenants.is_empty() {
            return Err((self.place(self.first()), "a grant of the platform names its tenants".to_owned()));
        }
        if let Some(other) = spec.tenants.iter().find(|tenant| !shared && *tenant != own) {
            let what = format!("tenants: {own} cannot grant the rows of {other}");
            return Err((self.line_of("tenants", other), what));
        }
        Ok(Read { references, grant: Some(spec), ..whole })
    }
}

const OWNERS: &[EntityKind] = &[EntityKind::Team, EntityKind::Member];
const TEAM: &[EntityKind] = &[EntityKind::Team];
const MEMBER: &[EntityKind] = &[EntityKind::Member];
const COST_CENTER: &[EntityKind] = &[EntityKind::CostCenter];
const DATA_CLASS: &[EntityKind] = &[EntityKind::DataClass];
const PROJECT: &[EntityKind] = &[EntityKind::Project];
const APPLICATION: &[EntityKind] = &[EntityKind::Application];
const TENANT: &[EntityKind] = &[EntityKind::Tenant];
