//! Where a path leads: which entity or collection, by which of its relations.

use http::Method;
use weir_model::{ENTITIES, Entity, Rotation};

/// What a path of entities names.
#[derive(Debug)]
pub(crate) enum Target<'a> {
    /// `/services`
    Collection(&'static Entity),
    /// `/services/s`
    Member(&'static Entity, &'a str),
    /// `/services/s/routes`: parent's kind, parent, kind, and the field that refers to the parent.
    Nested(&'static Entity, &'a str, &'static Entity, &'static str),
    /// `/services/s/routes/r`
    NestedMember(&'static Entity, &'a str, &'static Entity, &'static str, &'a str),
    /// `/key-auths/k/rotate` or `/key-auths/k/usage`: the kind, the credential, and what is asked for.
    Credential(&'static Entity, &'a str, Aspect),
    /// `/consumers/c/key-auth/k/rotate`: as [`Target::NestedMember`], and what is asked for.
    NestedCredential(&'static Entity, &'a str, &'static Entity, &'static str, &'a str, Aspect),
    /// `/routes/r/service`: the kind, the member, the kind that it refers to, and by which field.
    Reference(&'static Entity, &'a str, &'static Entity, &'static str),
}

/// What is asked for of a credential, besides itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aspect {
    /// Another secret.
    Rotate,
    /// When it was last used.
    Usage,
}

impl Aspect {
    fn find(entity: &Entity, name: &str) -> Option<Self> {
        match name {
            "rotate" if entity.rotation != Rotation::None => Some(Self::Rotate),
            "usage" if entity.rotation != Rotation::None => Some(Self::Usage),
            _ => None,
        }
    }
}

impl<'a> Target<'a> {
    /// Finds what the parts of a path name.
    pub(crate) fn find(segments: &'a [String]) -> Option<Self> {
        let (first, rest) = segments.split_first()?;
        let entity = ENTITIES.iter().find(|entity| entity.path == Some(first))?;
        match rest {
            [] => Some(Self::Collection(entity)),
            [key] => Some(Self::Member(entity, key)),
            [key, name] if Aspect::find(entity, name).is_some() => {
                Some(Self::Credential(entity, key, Aspect::find(entity, name)?))
            }
            [key, name] => match nested(entity, name) {
                Some((child, field)) => Some(Self::Nested(entity, key, child, field)),
                None => {
                    let (field, to, _) = entity.references().find(|(field, _, _)| field == name)?;
                    Some(Self::Reference(entity, key, weir_model::entity(to)?, field))
                }
            },
            [key, name, child_key] => {
                let (child, field) = nested(entity, name)?;
                Some(Self::NestedMember(entity, key, child, field, child_key))
            }
            [key, name, child_key, aspect] => {
                let (child, field) = nested(entity, name)?;
                let aspect = Aspect::find(child, aspect)?;
                Some(Self::NestedCredential(entity, key, child, field, child_key, aspect))
            }
            _ => None,
        }
    }

    /// The methods that a path is for, as OPTIONS lists them.
    pub(crate) fn methods(&self) -> &'static [Method] {
        match self {
            Self::Collection(_) | Self::Nested(..) => COLLECTION,
            Self::Member(..) | Self::NestedMember(..) | Self::Reference(..) => MEMBER,
            Self::Credential(.., Aspect::Rotate) | Self::NestedCredential(.., Aspect::Rotate) => ROTATE,
            Self::Credential(.., Aspect::Usage) | Self::NestedCredential(.., Aspect::Usage) => USAGE,
        }
    }
}

/// Methods of collections.
const COLLECTION: &[Method] = &[Method::GET, Method::HEAD, Method::OPTIONS, Method::POST];
/// Methods of members.
const MEMBER: &[Method] =
    &[Method::DELETE, Method::GET, Method::HEAD, Method::OPTIONS, Method::PATCH, Method::PUT];

/// Methods of rotation.
const ROTATE: &[Method] = &[Method::OPTIONS, Method::POST];
/// Methods of what can only be looked at.
const USAGE: &[Method] = &[Method::GET, Method::HEAD, Method::OPTIONS];

/// The kind of entities that `parent` has under this name, and the field by which they refer to it.
fn nested(parent: &Entity, name: &str) -> Option<(&'static Entity, &'static str)> {
    ENTITIES.iter().find_map(|child| {
        child.nested.iter().find(|(of, path)| *of == parent.name && *path == name)?;
        let (field, _, _) = child.references().find(|(_, to, _)| *to == parent.name)?;
        Some((child, field))
    })
}

/// The paths of all entities, as `/endpoints` lists them.
pub(crate) fn endpoints() -> Vec<String> {
    let mut out = Vec::new();
    for entity in ENTITIES.iter() {
        let (Some(path), singular) = (entity.path, entity.name) else { continue };
        out.push(format!("/{path}"));
        out.push(format!("/{path}/{{{singular}}}"));
        for (field, to, _) in entity.references() {
            if weir_model::entity(to).is_some() {
                out.push(format!("/{path}/{{{singular}}}/{field}"));
            }
        }
        for (parent, name) in entity.nested {
            out.push(format!("/{parent}/{{{parent}}}/{name}"));
            out.push(format!("/{parent}/{{{parent}}}/{name}/{{{singular}}}"));
            if entity.rotation != Rotation::None {
                out.push(format!("/{parent}/{{{parent}}}/{name}/{{{singular}}}/rotate"));
                out.push(format!("/{parent}/{{{parent}}}/{name}/{{{singular}}}/usage"));
            }
        }
        if entity.rotation != Rotation::None {
            out.push(format!("/{path}/{{{singular}}}/rotate"));
            out.push(format!("/{path}/{{{singular}}}/usage"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(path: &str) -> Option<String> {
        let segments: Vec<String> = path.split('/').map(str::to_owned).collect();
        Target::find(&segments).map(|target| format!("{target:?}"))
    }

    #[test]
    fn paths_lead_to_entities() {
        for (path, want) in [
            ("services", "Collection(services)"),
            ("services/s", "Member(services, \"s\")"),
            ("services/s/routes", "Nested(services, \"s\", routes, \"service\")"),
            (
                "consumers/c/key-auth/k",
                "NestedMember(consumers, \"c\", keyauth_credentials, \"consumer\", \"k\")",
            ),
            ("routes/r/service", "Reference(routes, \"r\", services, \"service\")"),
            ("key-auths/k/consumer", "Reference(keyauth_credentials, \"k\", consumers, \"consumer\")"),
        ] {
            assert_eq!(find(path).as_deref(), Some(want), "{path}");
        }
        for path in [
            "nope",
            "services/a/b",
            "services/a/routes/b/c",
            "services/s/client_certificate",
            "consumers/c/keys",
        ] {
            assert_eq!(find(path), None, "{path}");
        }
    }
}
