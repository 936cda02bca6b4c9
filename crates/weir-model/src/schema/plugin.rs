//! What a plugin says of its configuration, and the list of plugins that there are.

use serde_json::{Map, Value};

use super::check;
use super::field::{Field, Fields};
use super::types;

/// A plugin's part of the definition of a plugin entity.
pub struct PluginSchema {
    /// The plugin's name.
    pub name: &'static str,
    /// The fields that replace the common ones: `config` always, `protocols`, and those that must be null.
    pub fields: Fields,
}

impl PluginSchema {
    /// A plugin for HTTP and gRPC with this configuration.
    pub fn http(name: &'static str, config: Field) -> Self {
        Self::with_protocols(name, types::http_protocols(), config)
    }

    /// A plugin for any protocol with this configuration.
    pub fn any_protocol(name: &'static str, config: Field) -> Self {
        Self::with_protocols(name, types::any_protocols(), config)
    }

    fn with_protocols(name: &'static str, protocols: Field, config: Field) -> Self {
        let list = vec![("protocols", protocols), ("config", config.required())];
        Self { name, fields: Fields { list, ..Fields::default() } }
    }

    /// It cannot be bound to a consumer: it is what finds the consumer out, or it does not care.
    pub fn no_consumer(mut self) -> Self {
        self.fields.list.insert(0, ("consumer", types::null_reference("consumers")));
        self
    }

    /// Checks that involve several fields, by paths such as `config.minute`.
    pub fn checks(mut self, checks: impl IntoIterator<Item = check::EntityCheck>) -> Self {
        self.fields.checks.extend(checks);
        self
    }

    /// The definition as `/schemas/plugins/…` shows it.
    pub fn describe(&self) -> Value {
        let mut out = Map::new();
        out.insert("entity_checks".to_owned(), check::describe(&self.fields.checks));
        self.fields.describe(&mut out);
        Value::Object(out)
    }
}

/// The plugins that entities may name.
#[derive(Default)]
pub struct Catalog {
    plugins: Vec<PluginSchema>,
}

impl Catalog {
    /// A catalog of these plugins.
    pub fn new(plugins: Vec<PluginSchema>) -> Self {
        Self { plugins }
    }

    /// A plugin's definition.
    pub fn plugin(&self, name: &str) -> Option<&PluginSchema> {
        self.plugins.iter().find(|p| p.name == name)
    }

    /// The names of all plugins, in the order of the list.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.plugins.iter().map(|p| p.name)
    }
}
