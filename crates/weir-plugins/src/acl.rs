//! `acl`: lets consumers through by the groups they are in.
//!
//! Phase: access. Without a consumer nobody is let through; there is no backend that could fail.
//!
//! ```yaml
//! plugins:
//! - name: acl
//!   config:
//!     allow: [partners]
//! ```

use std::sync::Arc;

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use weir_model::PluginSchema;
use weir_model::schema::{EntityCheck, boolean, record, types};
use weir_plugin::{Answer, BuildError, Ctx, Env, Flow, Kind, Phases, Plugin};

use crate::config;

const NAME: &str = "acl";
const HEADER: &str = "X-Consumer-Groups";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    allow: Option<Vec<String>>,
    deny: Option<Vec<String>>,
    hide_groups_header: bool,
    /// Groups that whoever authenticated the client puts it in decide, even for known consumers.
    always_use_authenticated_groups: bool,
}

impl Plugin for Config {
    fn phases(&self) -> Phases {
        Phases { access: true, ..Phases::default() }
    }

    fn access(&self, ctx: &mut Ctx<'_>) -> Flow {
        let consumer = ctx.consumer();
        // Groups from elsewhere decide for whoever is no consumer here, and for consumers where that is wished.
        let elsewhere =
            ctx.groups.as_deref().filter(|_| consumer.is_none() || self.always_use_authenticated_groups);
        let groups: Vec<&str> = match (elsewhere, consumer) {
            (Some(groups), _) => groups.iter().map(|group| &**group).collect(),
            (None, Some(consumer)) => {
                ctx.directory.groups(&consumer.id).iter().map(|group| &**group).collect()
            }
            (None, None) => return Answer::message(StatusCode::UNAUTHORIZED, "Unauthorized").into(),
        };
        let in_any = |list: &[String]| groups.iter().any(|group| list.iter().any(|one| one == group));
        let allowed = match (&self.allow, &self.deny) {
            (Some(allow), _) if !allow.is_empty() => in_any(allow),
            (_, Some(deny)) => !in_any(deny),
            _ => false,
        };
        if !allowed {
            // A stand-in for somebody who showed nothing may still show something.
            return match ctx.is_authenticated() {
                false => Answer::message(StatusCode::UNAUTHORIZED, "Unauthorized").into(),
                true => Answer::message(StatusCode::FORBIDDEN, "You cannot consume this service").into(),
            };
        }
        let shown = (!self.hide_groups_header && !groups.is_empty()).then(|| groups.join(", "));
        ctx.headers.remove(HEADER);
        if let Some(shown) = shown {
            ctx.headers.append(HEADER, shown);
        }
        Flow::Continue
    }
}

/// The kind of plugin.
pub(crate) struct Acl;

impl Kind for Acl {
    fn name(&self) -> &'static str {
        NAME
    }

    fn priority(&self) -> i32 {
        950
    }

    fn schema(&self) -> PluginSchema {
        let config = record([
            ("allow", types::strings()),
            ("deny", types::strings()),
            ("hide_groups_header", boolean().required().default(false)),
            ("always_use_authenticated_groups", boolean().required().default(false)),
        ]);
        let lists = || vec!["config.allow", "config.deny"];
        PluginSchema::http(NAME, config)
            .no_consumer()
            .checks([EntityCheck::OnlyOneOf(lists()), EntityCheck::AtLeastOneOf(lists())])
    }

    fn build(&self, config: &Value, _: &Env) -> Result<Arc<dyn Plugin>, BuildError> {
        Ok(Arc::new(config::read::<Config>(NAME, config)?))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::test;

    #[test]
    fn schema_and_type_agree() {
        test::matches_recording(&Acl);
        test::build(&Acl, json!({"allow": ["a"]}));
        assert!(test::complete(&Acl, json!({})).is_err());
    }
}
