//! Definitions of fields: a kind, rules, a default, and how `/schemas` shows them.

use serde_json::{Map, Value, json};

use super::check::EntityCheck;
use super::rule::Rule;
use super::shorthand::Shorthand;
use crate::errors::Errors;

/// What kind of value a field holds.
pub enum Kind {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// Values in order.
    Array(Box<Field>),
    /// Values without repetition.
    Set(Box<Field>),
    /// Values by key.
    Map(Box<Field>, Box<Field>),
    /// Named fields.
    Record(Fields),
    /// A record whose fields another definition gives (a plugin's configuration).
    Abstract,
    /// A reference to an entity of another kind.
    Foreign(Foreign),
}

/// A reference to an entity.
#[derive(Clone, Copy)]
pub struct Foreign {
    /// The entity referred to, by its plural name.
    pub to: &'static str,
    /// Whether this entity goes when the one it refers to is deleted; else that deletion is refused.
    pub cascade: bool,
}

/// A value that comes of itself when it is left out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Auto {
    /// A random UUID.
    Uuid,
    /// The time of creation, epoch seconds.
    CreatedAt,
    /// The time of the last change, epoch seconds.
    UpdatedAt,
    /// A random token of 32 letters and digits.
    Token,
    /// The digest of the certificate in this field, whatever is given.
    CertificateDigest(&'static str),
}

/// Checks a value that has the right kind; says what is wrong.
pub type Check = fn(&Value) -> Result<(), Errors>;

/// One field.
pub struct Field {
    /// What it holds.
    pub kind: Kind,
    /// Whether it must hold a value. `None` where the definition is silent, which means no.
    pub required: Option<bool>,
    /// The value it takes when it is left out.
    pub default: Option<Value>,
    /// What comes of itself.
    pub auto: Option<Auto>,
    /// Constraints, checked in this order until one fails.
    pub rules: Vec<Rule>,
    /// A constraint that no rule expresses, checked last.
    pub check: Option<Check>,
    /// No two entities have the same value.
    pub unique: bool,
    /// Kept sealed at rest, never logged.
    pub secret: bool,
    /// A secret that is only ever compared with what somebody shows: its digest is enough for that.
    pub verifiable: bool,
    /// A secret that people choose and remember: only its slow hash is kept.
    pub password: bool,
    /// Weir's own: requests do not set it and answers do not show it.
    pub hidden: bool,
    /// Attributes that only `/schemas` shows.
    pub shown: Vec<(&'static str, Value)>,
}

/// The fields of a record, in order, with the checks that involve several of them.
#[derive(Default)]
pub struct Fields {
    /// Names and definitions.
    pub list: Vec<(&'static str, Field)>,
    /// Checks that involve several fields.
    pub checks: Vec<EntityCheck>,
    /// Other ways of writing the fields.
    pub shorthands: Vec<Shorthand>,
}

impl Fields {
    /// The definition of a field.
    pub fn get(&self, name: &str) -> Option<&Field> {
        self.list.iter().find(|(n, _)| *n == name).map(|(_, field)| field)
    }

    /// Finds the definition at a dotted path.
    pub fn at(&self, path: &str) -> Option<&Field> {
        let (first, rest) = path.split_once('.').map_or((path, None), |(f, r)| (f, Some(r)));
        let field = self.get(first)?;
        match (rest, &field.kind) {
            (None, _) => Some(field),
            (Some(rest), Kind::Record(inner)) => inner.at(rest),
            _ => None,
        }
    }

    /// The fields that requests may set and answers show.
    fn shown(&self) -> impl Iterator<Item = &(&'static str, Field)> {
        self.list.iter().filter(|(_, field)| !field.hidden)
    }

    pub(super) fn describe(&self, out: &mut Map<String, Value>) {
        let fields: Vec<Value> = self.shown().map(|(name, field)| json!({*name: field.describe()})).collect();
        out.insert("fields".to_owned(), Value::Array(fields));
        if !self.shorthands.is_empty() {
            out.insert(
                "shorthand_fields".to_owned(),
                self.shorthands.iter().map(Shorthand::describe).collect(),
            );
        }
    }
}

/// A record of these fields.
pub fn record(fields: impl IntoIterator<Item = (&'static str, Field)>) -> Field {
    Field::new(Kind::Record(Fields { list: fields.into_iter().collect(), ..Fields::default() }))
}

/// Text, which may be empty.
pub fn string() -> Field {
    Field::new(Kind::String)
}

/// Text of at least one character.
pub fn text() -> Field {
    string().rule(Rule::LenMin(1))
}

/// A whole number.
pub fn integer() -> Field {
    Field::new(Kind::Integer)
}

/// A number.
pub fn number() -> Field {
    Field::new(Kind::Number)
}

/// True or false.
pub fn boolean() -> Field {
    Field::new(Kind::Boolean)
}

/// Values in order.
pub fn array(elements: Field) -> Field {
    Field::new(Kind::Array(Box::new(elements)))
}

/// Values without repetition.
pub fn set(elements: Field) -> Field {
    Field::new(Kind::Set(Box::new(elements)))
}

/// Values by key.
pub fn map(keys: Field, values: Field) -> Field {
    Field::new(Kind::Map(Box::new(keys), Box::new(values)))
}

/// A reference to an entity, which keeps that entity from being deleted.
pub fn foreign(to: &'static str) -> Field {
    Field::new(Kind::Foreign(Foreign { to, cascade: false }))
}

/// A reference to an entity with which this one goes.
pub fn owned_by(to: &'static str) -> Field {
    Field::new(Kind::Foreign(Foreign { to, cascade: true }))
}

/// A record that another definition completes.
pub fn abstract_record() -> Field {
    Field::new(Kind::Abstract)
}

impl Field {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            required: None,
            default: None,
            auto: None,
            rules: Vec::new(),
            check: None,
            unique: false,
            secret: false,
            verifiable: false,
            password: false,
            hidden: false,
            shown: Vec::new(),
        }
    }

    /// It must hold a value.
    pub fn required(mut self) -> Self {
        self.required = Some(true);
        self
    }

    /// It need not hold a value, and `/schemas` says so.
    pub fn optional(mut self) -> Self {
        self.required = Some(false);
        self
    }

    /// The value it takes when it is left out.
    pub fn default(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self
    }

    /// It comes of itself when it is left out.
    pub fn auto(mut self, auto: Auto) -> Self {
        self.auto = Some(auto);
        self
    }

    /// No two entities have the same value.
    pub fn unique(mut self) -> Self {
        self.unique = true;
        self
    }

    /// It is sealed at rest.
    pub fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// It is a secret that a digest is enough to verify.
    pub fn verifiable(mut self) -> Self {
        self.verifiable = true;
        self.secret()
    }

    /// It is a password, of which only the slow hash is kept.
    pub fn password(mut self) -> Self {
        self.password = true;
        self.secret()
    }

    /// Requests do not set it and answers do not show it.
    pub fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Adds a constraint.
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Its value is between these, both included.
    pub fn between(self, low: i64, high: i64) -> Self {
        self.rule(Rule::Between(low, high))
    }

    /// Its value is one of these.
    pub fn one_of<T: Into<Value>>(self, values: impl IntoIterator<Item = T>) -> Self {
        self.rule(Rule::OneOf(values.into_iter().map(Into::into).collect()))
    }

    /// Checks the value by a function, after every rule.
    pub fn check(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }

    /// Shows an attribute in `/schemas`.
    pub fn show(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.shown.push((name, value.into()));
        self
    }

    /// Adds checks that involve several fields of this record.
    pub fn checks(mut self, checks: impl IntoIterator<Item = EntityCheck>) -> Self {
        if let Kind::Record(fields) = &mut self.kind {
            fields.checks.extend(checks);
        }
        self
    }

    /// Adds other ways of writing fields of this record.
    pub fn shorthands(mut self, shorthands: impl IntoIterator<Item = Shorthand>) -> Self {
        if let Kind::Record(fields) = &mut self.kind {
            fields.shorthands.extend(shorthands);
        }
        self
    }

    /// Whether it must hold a value.
    pub fn is_required(&self) -> bool {
        self.required == Some(true)
    }

    /// The definition as `/schemas` shows it.
    pub fn describe(&self) -> Value {
        let mut out = Map::new();
        out.insert("type".to_owned(), json!(self.kind.name()));
        match &self.kind {
            Kind::Array(elements) | Kind::Set(elements) => {
                out.insert("elements".to_owned(), elements.describe());
            }
            Kind::Map(keys, values) => {
                out.insert("keys".to_owned(), keys.describe());
                out.insert("values".to_owned(), values.describe());
            }
            Kind::Record(fields) => {
                fields.describe(&mut out);
                if !fields.checks.is_empty() {
                    out.insert("entity_checks".to_owned(), super::check::describe(&fields.checks));
                }
            }
            Kind::Abstract => {
                out.insert("abstract".to_owned(), json!(true));
            }
            Kind::Foreign(foreign) => {
                out.insert("reference".to_owned(), json!(foreign.to));
                if foreign.cascade {
                    out.insert("on_delete".to_owned(), json!("cascade"));
                }
            }
            Kind::String | Kind::Integer | Kind::Number | Kind::Boolean => {}
        }
        if let Some(required) = self.required {
            out.insert("required".to_owned(), json!(required));
        }
        if let Some(default) = &self.default {
            out.insert("default".to_owned(), default.clone());
        }
        if let Some(auto) = self.auto {
            if !matches!(auto, Auto::CertificateDigest(_)) {
                out.insert("auto".to_owned(), json!(true));
            }
            match auto {
                Auto::Uuid | Auto::Token | Auto::CertificateDigest(_) => {}
                Auto::CreatedAt | Auto::UpdatedAt => {
                    out.insert("timestamp".to_owned(), json!(true));
                }
            }
        }
        if self.unique {
            out.insert("unique".to_owned(), json!(true));
        }
        for rule in &self.rules {
            rule.describe(&mut out);
        }
        for (name, value) in &self.shown {
            out.insert((*name).to_owned(), value.clone());
        }
        Value::Object(out)
    }
}

impl Kind {
    fn name(&self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Array(_) => "array",
            Self::Set(_) => "set",
            Self::Map(..) => "map",
            Self::Record(_) | Self::Abstract => "record",
            Self::Foreign(_) => "foreign",
        }
    }
}
