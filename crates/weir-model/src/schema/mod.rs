//! The engine that reads definitions: completes what a client sent, checks it, shows it.

mod check;
mod field;
mod fill;
mod infer;
mod plugin;
mod rule;
mod shorthand;
pub mod types;
mod validate;

use serde_json::{Map, Value};

pub use check::{Condition, Conditional, EntityCheck};
pub use field::{
    Auto, Check, Field, Fields, Foreign, Kind, abstract_record, array, boolean, foreign, integer, map,
    number, owned_by, record, set, string, text,
};
pub use plugin::{Catalog, PluginSchema};
pub use rule::{Rule, is_uuid};
pub use shorthand::{Rewrite, Shorthand};
pub use validate::is_empty;

use crate::errors::Violations;

/// An entity as it is stored and shown: every field of its schema, in the schema's order.
pub type Record = Map<String, Value>;

/// Where ids, secrets and times come from while a record is completed.
pub trait Source {
    /// Epoch seconds.
    fn now(&self) -> i64;
    /// A random UUID, in its canonical form.
    ///
    /// # Errors
    /// When the host's generator is not ready or refuses.
    fn uuid(&self) -> Result<String, SourceError>;
    /// A credential's secret: 32 letters and digits.
    ///
    /// # Errors
    /// As [`Source::uuid`].
    fn token(&self) -> Result<String, SourceError>;
}

/// Why nothing could be minted.
#[derive(Debug, thiserror::Error)]
#[error("no id or secret can be minted: {0}")]
pub struct SourceError(#[from] pub Box<dyn std::error::Error + Send + Sync>);

/// Why a request did not become a record.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client's fault; retrying the same is useless.
    #[error("{}", .0.message())]
    Schema(Violations),
    /// The host's fault; retrying later may help.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl From<Violations> for Error {
    fn from(violations: Violations) -> Self {
        Self::Schema(violations)
    }
}

/// How a definition varies with a value of the record: by its protocols, or by the plugin that it configures.
pub enum Variant {
    /// No variation.
    None,
    /// By the first of a set's members: fields and checks that replace or join the common ones.
    ByFirstOf(&'static str, Vec<(&'static str, Fields)>),
    /// By the plugin's name.
    Plugin,
}

/// One entity's definition.
pub struct Schema {
    /// The fields that every entity of this kind has.
    pub fields: Fields,
    /// How the definition varies.
    pub variant: Variant,
}

/// A definition together with the variation that one record selects.
struct View<'a> {
    base: &'a Fields,
    variant: Option<&'a Fields>,
}

impl<'a> View<'a> {
    fn find(&self, name: &str) -> Option<&'a Field> {
        self.variant.and_then(|v| v.get(name)).or_else(|| self.base.get(name))
    }

    fn iter(&self) -> impl Iterator<Item = (&'a str, &'a Field)> {
        let base = self.base;
        let variant = self.variant;
        base.list.iter().map(move |(name, field)| (*name, variant.and_then(|v| v.get(name)).unwrap_or(field)))
    }

    fn check(&self, record: &Record, update: bool) -> Result<(), Violations> {
        let mut errors = Violations::default();
        self.check_into(record, update, &mut errors);
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn check_into(&self, record: &Record, update: bool, errors: &mut Violations) {
        validate::validate(
            record,
            |name| self.find(name),
            self.base.list.iter().map(|(name, _)| *name),
            errors,
        );
        check::run(&self.base.checks, record, "", update, errors);
        if let Some(variant) = self.variant {
            check::run(&variant.checks, record, "", update, errors);
        }
    }
}

impl Schema {
    /// A new record of what a client sent.
    ///
    /// # Errors
    /// [`Error::Schema`] with everything that is wrong; [`Error::Source`] when nothing can be minted.
    pub fn create(&self, input: Record, catalog: &Catalog, source: &dyn Source) -> Result<Record, Error> {
        self.refuse_hidden(&input)?;
        let (mut record, view) = self.prepare(input, catalog)?;
        fill::autos(view.iter(), &mut record, source)?;
        view.check(&record, false)?;
        Ok(record)
    }

    /// Whether what a client sent would do; nothing is minted.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn validate(&self, input: Record, catalog: &Catalog) -> Result<(), Violations> {
        let (record, view) = self.prepare(input, catalog)?;
        view.check(&record, false)
    }

    /// A stored record with a client's changes in it. The id stays.
    ///
    /// # Errors
    /// As [`Schema::create`].
    pub fn update(
        &self,
        stored: &Record,
        mut changes: Record,
        catalog: &Catalog,
        source: &dyn Source,
    ) -> Result<Record, Error> {
        self.refuse_hidden(&changes)?;
        changes.shift_remove("id");
        let mut record = stored.clone();
        let selector = Self::selector(&record, &changes, &self.variant);
        let view = self.view(&selector, catalog)?;
        let mut errors = Violations::default();
        fill::rewrite(&self.fields, &mut changes, "", &mut errors);
        rewrite_config(&view, &mut changes, &mut errors);
        fill::merge(&mut record, changes, &|name| view.find(name));
        fill::complete_records(&mut record, &|name| view.find(name));
        fill::autos(view.iter(), &mut record, source)?;
        view.check_into(&record, true, &mut errors);
        if errors.is_empty() { Ok(record) } else { Err(errors.into()) }
    }

    /// Gives types to what came as text, in a form.
    pub fn infer(&self, input: Record, catalog: &Catalog) -> Record {
        let plugin = match (&self.variant, input.get("name").and_then(Value::as_str)) {
            (Variant::Plugin, Some(name)) => catalog.plugin(name).map(|p| &p.fields),
            _ => None,
        };
        self.infer_as(input, plugin)
    }

    /// Like [`Schema::infer`], for changes to a stored record.
    pub fn infer_changes(&self, input: Record, stored: &Record, catalog: &Catalog) -> Record {
        let name = input.get("name").or_else(|| stored.get("name")).and_then(Value::as_str);
        let plugin = match (&self.variant, name) {
            (Variant::Plugin, Some(name)) => catalog.plugin(name).map(|p| &p.fields),
            _ => None,
        };
        self.infer_as(input, plugin)
    }

    fn infer_as(&self, input: Record, plugin: Option<&Fields>) -> Record {
        let mut out = match infer::infer_fields(&self.fields, input) {
            Value::Object(map) => map,
            _ => Record::new(),
        };
        if let Some(field) = plugin.and_then(|p| p.get("config"))
            && let Some(config) = out.get_mut("config")
        {
            *config = infer::infer(field, config.take());
        }
        out
    }

    fn refuse_hidden(&self, input: &Record) -> Result<(), Violations> {
        let hidden = |name: &&String| self.fields.get(name).is_some_and(|field| field.hidden);
        match input.keys().find(hidden) {
            Some(name) => Err(Violations::field(name, "unknown field")),
            None => Ok(()),
        }
    }

    /// The record as answers show it: with the old names of fields that were renamed, without what is Weir's own.
    pub fn show(&self, mut record: Record, catalog: &Catalog) -> Record {
        for (name, _) in self.fields.list.iter().filter(|(_, field)| field.hidden) {
            record.shift_remove(*name);
        }
        for (name, _) in self.fields.list.iter().filter(|(_, field)| field.verifiable) {
            match record.get_mut(*name) {
                Some(value) if value.as_str().is_some_and(weir_mint::is_digest) => *value = Value::Null,
                _ => {}
            }
        }
        let view = self.view(&record, catalog).ok();
        if let Some(Kind::Record(fields)) = view.and_then(|v| v.find("config")).map(|f| &f.kind)
            && let Some(Value::Object(config)) = record.get_mut("config")
        {
            fill::show_old_names(fields, config);
        }
        record
    }

    /// Visits the secrets of a record, each with its path, so that they can be sealed or opened in place.
    ///
    /// # Errors
    /// The first that `each` returns.
    pub fn secrets<E>(
        &self,
        record: &mut Record,
        catalog: &Catalog,
        each: &mut dyn FnMut(&str, &Field, &mut String) -> Result<(), E>,
    ) -> Result<(), E> {
        // What selects the variation may be gone, when a plugin was disabled: then its configuration has no fields.
        let variant = self.view(record, catalog).ok().and_then(|view| view.variant);
        secrets_of(&self.fields, record, "", each)?;
        variant.map_or(Ok(()), |fields| secrets_of(fields, record, "", each))
    }

    /// The definition as `/schemas` shows it.
    pub fn describe(&self) -> Value {
        let mut out = Map::new();
        out.insert("entity_checks".to_owned(), check::describe(&self.fields.checks));
        self.fields.describe(&mut out);
        // Shorthands of entities are not part of what Kong shows.
        out.shift_remove("shorthand_fields");
        Value::Object(out)
    }

    fn prepare<'a>(
        &'a self,
        mut input: Record,
        catalog: &'a Catalog,
    ) -> Result<(Record, View<'a>), Violations> {
        let mut errors = Violations::default();
        fill::rewrite(&self.fields, &mut input, "", &mut errors);
        let selector = Self::selector(&Record::new(), &input, &self.variant);
        let view = self.view(&selector, catalog)?;
        rewrite_config(&view, &mut input, &mut errors);
        // What a shorthand would have given is not there to be checked.
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok((fill::complete(view.iter(), input), view))
    }

    /// The members that select a variation: the changed ones, else the stored ones.
    fn selector(stored: &Record, changes: &Record, variant: &Variant) -> Record {
        let name = match variant {
            Variant::None => return Record::new(),
            Variant::ByFirstOf(name, _) => *name,
            Variant::Plugin => "name",
        };
        changes
            .get(name)
            .or_else(|| stored.get(name))
            .map(|v| (name.to_owned(), v.clone()))
            .into_iter()
            .collect()
    }

    fn view<'a>(&'a self, selector: &Record, catalog: &'a Catalog) -> Result<View<'a>, Violations> {
        let base = &self.fields;
        let plain = View { base, variant: None };
        match &self.variant {
            Variant::None => Ok(plain),
            Variant::ByFirstOf(name, variants) => {
                let default = self.fields.get(name).and_then(|f| f.default.clone()).unwrap_or_default();
                let members = match selector.get(*name) {
                    None => &default,
                    Some(given) => given,
                };
                // What is no list of texts is for validation to refuse.
                let Some(members) = members.as_array() else { return Ok(plain) };
                let unknown = |what: &str| Violations::field(name, format!("unknown type: {what}"));
                let first = match members.first() {
                    None => return Err(unknown("nil")),
                    Some(Value::String(first)) => first,
                    Some(_) => return Ok(plain),
                };
                let found = variants.iter().find(|(key, _)| key == first).ok_or_else(|| unknown(first))?;
                Ok(View { base, variant: Some(&found.1) })
            }
            Variant::Plugin => {
                match selector.get("name") {
                    Some(Value::String(name)) => {
                        let plugin = catalog.plugin(name).ok_or_else(|| {
                        Violations::field(
                            "name",
                            format!("plugin '{name}' not enabled; add it to the 'plugins' configuration property"),
                        )
                    })?;
                        Ok(View { base, variant: Some(&plugin.fields) })
                    }
                    _ => Ok(plain),
                }
            }
        }
    }
}

fn rewrite_config(view: &View<'_>, input: &mut Record, errors: &mut Violations) {
    if let Some(Kind::Record(fields)) = view.find("config").map(|f| &f.kind)
        && let Some(Value::Object(config)) = input.get_mut("config")
    {
        fill::rewrite(fields, config, "config", errors);
    }
}

fn secrets_of<E>(
    fields: &Fields,
    record: &mut Record,
    prefix: &str,
    each: &mut dyn FnMut(&str, &Field, &mut String) -> Result<(), E>,
) -> Result<(), E> {
    for (name, field) in &fields.list {
        let Some(value) = record.get_mut(*name) else { continue };
        let path = if prefix.is_empty() { (*name).to_owned() } else { format!("{prefix}.{name}") };
        match (&field.kind, value) {
            (Kind::Record(inner), Value::Object(map)) => secrets_of(inner, map, &path, each)?,
            (_, Value::String(text)) if field.secret => each(&path, field, text)?,
            _ => {}
        }
    }
    Ok(())
}
