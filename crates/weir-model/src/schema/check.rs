//! Checks that involve several fields of a record.

use serde_json::{Map, Value, json};

use super::Record;
use super::field::Field;
use super::rule::Rule;
use super::validate::is_empty;
use crate::errors::{ENTITY, Violations};

/// A check that involves several fields.
pub enum EntityCheck {
    /// At least one of these holds something.
    AtLeastOneOf(Vec<&'static str>),
    /// One of these holds something, and no other.
    OnlyOneOf(Vec<&'static str>),
    /// If one field is so, another must be so.
    Conditional(Conditional),
    /// Where the first of these holds something, the second must. Not shown.
    Together(&'static str, &'static str),
    /// Whatever else; `/schemas` shows which fields it reads.
    Custom {
        /// The fields it reads.
        fields: Vec<&'static str>,
        /// Whether `/schemas` shows that it runs even where some are missing.
        run_with_missing_fields: bool,
        /// What it does. Not run when one of `fields` has an error already.
        check: fn(&Record) -> Result<(), String>,
    },
}

/// If one field is so, another must be so.
pub struct Conditional {
    /// The field that decides.
    pub if_field: &'static str,
    /// What it must be for the check to apply.
    pub if_match: Condition,
    /// The field that is checked.
    pub then_field: &'static str,
    /// What it must be.
    pub then_match: Condition,
    /// What the entity's error says, in place of the usual sentence.
    pub then_err: Option<&'static str>,
}

/// What a field of a conditional check must be.
#[derive(Default)]
pub struct Condition {
    /// Constraints on its value.
    pub rules: Vec<Rule>,
    /// Whether it must hold a value.
    pub required: bool,
    /// Constraints on each member.
    pub elements: Option<Box<Field>>,
}

impl Condition {
    /// It satisfies this rule.
    pub fn rule(rule: Rule) -> Self {
        Self { rules: vec![rule], ..Self::default() }
    }

    /// It holds a value that satisfies this rule.
    pub fn required(rules: Vec<Rule>) -> Self {
        Self { rules, required: true, elements: None }
    }

    /// Each of its members satisfies this.
    pub fn elements(field: Field) -> Self {
        Self { elements: Some(Box::new(field)), ..Self::default() }
    }

    fn test(&self, value: &Value) -> Result<(), crate::Errors> {
        // A value that is not there satisfies every constraint but the one that asks for something.
        if value.is_null() {
            return if self.required { Err("required field missing".into()) } else { Ok(()) };
        }
        for rule in &self.rules {
            rule.apply(value)?;
        }
        if let (Some(field), Some(items)) = (&self.elements, value.as_array()) {
            for item in items {
                for rule in &field.rules {
                    rule.apply(item)?;
                }
            }
        }
        Ok(())
    }

    fn describe(&self) -> Value {
        let mut out = Map::new();
        for rule in &self.rules {
            rule.describe(&mut out);
        }
        if self.required {
            out.insert("required".to_owned(), json!(true));
        }
        if let Some(elements) = &self.elements {
            out.insert("elements".to_owned(), elements.describe());
        }
        Value::Object(out)
    }
}

/// Runs checks over a record. `prefix` is the dotted path of the record within the entity, empty for the entity.
pub(super) fn run(
    checks: &[EntityCheck],
    record: &Record,
    prefix: &str,
    update: bool,
    errors: &mut Violations,
) {
    for check in checks {
        check.run(record, prefix, update, errors);
    }
}

/// The checks as `/schemas` shows them.
pub(super) fn describe(checks: &[EntityCheck]) -> Value {
    checks.iter().filter_map(EntityCheck::describe).collect()
}

impl EntityCheck {
    fn run(&self, record: &Record, prefix: &str, update: bool, errors: &mut Violations) {
        match self {
            Self::AtLeastOneOf(fields) => {
                if fields.iter().all(|f| is_empty(get(record, f))) {
                    let when = if update { "when updating, " } else { "" };
                    let say =
                        format!("{when}at least one of these fields must be non-empty: {}", quoted(fields));
                    entity_error(errors, prefix, say);
                }
            }
            Self::OnlyOneOf(fields) => {
                if fields.iter().filter(|f| !is_empty(get(record, f))).count() != 1 {
                    let say = format!("exactly one of these fields must be non-empty: {}", quoted(fields));
                    entity_error(errors, prefix, say);
                }
            }
            Self::Conditional(conditional) => conditional.run(record, prefix, errors),
            Self::Together(first, second) => {
                if !is_empty(get(record, first)) && is_empty(get(record, second)) {
                    let say =
                        format!("all or none of these fields must be set: {}", quoted(&[first, second]));
                    entity_error(errors, prefix, say);
                }
            }
            Self::Custom { fields, check, .. } => {
                if fields.iter().any(|f| errors.has(&join(prefix, f))) {
                    return;
                }
                if let Err(say) = check(record) {
                    entity_error(errors, prefix, say);
                }
            }
        }
    }

    fn describe(&self) -> Option<Value> {
        Some(match self {
            Self::Together(..) => return None,
            Self::AtLeastOneOf(fields) => json!({"at_least_one_of": fields}),
            Self::OnlyOneOf(fields) => json!({"only_one_of": fields}),
            Self::Conditional(c) => {
                let mut out = json!({
                    "if_field": c.if_field, "if_match": c.if_match.describe(),
                    "then_field": c.then_field, "then_match": c.then_match.describe(),
                });
                if let (Some(err), Value::Object(map)) = (c.then_err, &mut out) {
                    map.insert("then_err".to_owned(), json!(err));
                }
                json!({"conditional": out})
            }
            Self::Custom { fields, run_with_missing_fields, .. } => {
                let mut out = json!({"field_sources": fields});
                if let (true, Value::Object(map)) = (*run_with_missing_fields, &mut out) {
                    map.insert("run_with_missing_fields".to_owned(), json!(true));
                }
                json!({"custom_entity_check": out})
            }
        })
    }
}

impl Conditional {
    fn run(&self, record: &Record, prefix: &str, errors: &mut Violations) {
        let (if_path, then_path) = (join(prefix, self.if_field), join(prefix, self.then_field));
        if errors.has(&if_path) || errors.has(&then_path) {
            return;
        }
        let decides = get(record, self.if_field);
        if decides.is_null() || self.if_match.test(decides).is_err() {
            return;
        }
        if let Err(error) = self.then_match.test(get(record, self.then_field)) {
            errors.add(&then_path, error);
            let say = self.then_err.map_or_else(
                || format!("failed conditional validation given value of field '{}'", self.if_field),
                str::to_owned,
            );
            entity_error(errors, prefix, say);
        }
    }
}

fn entity_error(errors: &mut Violations, prefix: &str, say: String) {
    if prefix.is_empty() {
        errors.add_entity(say);
    } else {
        errors.add(&join(prefix, ENTITY), crate::Errors::List(vec![Some(say.into())]));
    }
}

fn join(prefix: &str, path: &str) -> String {
    if prefix.is_empty() { path.to_owned() } else { format!("{prefix}.{path}") }
}

fn quoted(fields: &[&str]) -> String {
    format!("'{}'", fields.join("', '"))
}

/// The value at a dotted path; null where there is none.
pub(super) fn get<'a>(record: &'a Record, path: &str) -> &'a Value {
    let mut parts = path.split('.');
    let mut value = parts.next().and_then(|first| record.get(first));
    for part in parts {
        value = value.and_then(|v| v.get(part));
    }
    value.unwrap_or(&Value::Null)
}
