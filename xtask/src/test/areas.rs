//! Which areas of Kong's recorded behaviour Weir is held to.
//!
//! This table is the one place that says so. Every file of the corpus is in it. An area that is served names the cases
//! that are known to differ, by reason; a case that differs and is not named fails the run, and a named one that no
//! longer differs is reported, so that it can be taken out. An area that is not served yet says why.
//!
//! `cargo xtask test --only recorded --all-areas` tells how the areas fare that are not served yet.

/// A file of the corpus.
pub(super) struct Area {
    /// Its path under `cases/`.
    pub(super) file: &'static str,
    pub(super) state: State,
}

/// What is expected of an area.
pub(super) enum State {
    /// Every case passes, but for these.
    Served(&'static [Known]),
    /// Nothing, for this reason.
    NotServed(&'static str),
}

/// Cases that differ, and why that is left so.
pub(super) struct Known {
    pub(super) reason: &'static str,
    /// Their names without the area's, which all begin with; `jwt-*` stands for all names that begin with `jwt-`.
    pub(super) cases: &'static [&'static str],
}

impl Area {
    /// The known difference that a case is, if it is one.
    pub(super) fn known(&self, case: &str) -> Option<&'static Known> {
        self.differences().iter().find(|known| known.cases.iter().any(|name| self.means(name, case)))
    }

    /// Whether a name in the table means this case.
    pub(super) fn means(&self, name: &str, case: &str) -> bool {
        let prefix = self.file.trim_end_matches(".json").replace('/', ".");
        let short = case.strip_prefix(prefix.as_str()).and_then(|rest| rest.strip_prefix('.'));
        short.is_some_and(|short| match name.strip_suffix('*') {
            Some(beginning) => short.starts_with(beginning),
            None => short == name,
        })
    }

    /// All known differences.
    pub(super) fn differences(&self) -> &'static [Known] {
        match self.state {
            State::Served(known) => known,
            State::NotServed(_) => &[],
        }
    }
}

const fn served(file: &'static str) -> Area {
    Area { file, state: State::Served(&[]) }
}

const fn but_for(file: &'static str, known: &'static [Known]) -> Area {
    Area { file, state: State::Served(known) }
}

const fn not_served(file: &'static str, reason: &'static str) -> Area {
    Area { file, state: State::NotServed(reason) }
}

const NO_ENTITY: &str = "its entities do not exist yet";
const NO_PLUGIN: &str = "the plugin does not exist yet";
const OTHER_PLUGINS: &str = "it needs plugins that do not exist yet";

/// The table, in the order in which it is run.
pub(super) const AREAS: &[Area] = &[
    but_for(
        "admin/ca_certificates.json",
        &[Known {
            reason: "what is no certificate is told in other words than OpenSSL's",
            cases: &["patch"],
        }],
    ),
    not_served("admin/certificates.json", NO_ENTITY),
    served("admin/consumers.json"),
    served("admin/credentials.json"),
    but_for(
        "admin/general.json",
        &[
            Known {
                reason: "pages of other websites may not use the Admin API unless admin_origins names them",
                cases: &["cors-headers-origin", "cors-preflight"],
            },
            Known {
                reason: NO_ENTITY,
                cases: &[
                    "schemas-hyphen",
                    "schemas-vault",
                    "schemas-validate-upstream-ok",
                    "schemas-validate-target-*",
                    "schemas-validate-certificate-bad",
                    "schemas-validate-vault-bad",
                ],
            },
        ],
    ),
    not_served("admin/key-sets.json", NO_ENTITY),
    not_served("admin/keys.json", NO_ENTITY),
    but_for(
        "admin/plugins.json",
        &[
            Known {
                reason: OTHER_PLUGINS,
                cases: &[
                    "validate-config-required",
                    "validate-config-required-2",
                    "validate-response-ratelimiting-*",
                    "validate-request-size",
                    "validate-transformer-*",
                    "validate-response-transformer-*",
                    "validate-redirect-status",
                    "validate-proxy-cache-*",
                    "validate-file-log-*",
                    "validate-http-log-*",
                    "validate-tcp-log",
                    "validate-pre-function-none",
                    "validate-statsd-metric",
                    "patch-nested-record",
                    "patch-map",
                ],
            },
            Known {
                reason: "a plugin may be bound to a service that has no routes yet, by PATCH as it may by POST",
                cases: &["patch-scope"],
            },
            Known { reason: "the list is of Weir's plugins, not of Kong's", cases: &["enabled-list"] },
        ],
    ),
    served("admin/routes.json"),
    served("admin/services.json"),
    not_served("admin/snis.json", NO_ENTITY),
    not_served("admin/targets.json", NO_ENTITY),
    not_served("admin/upstreams.json", NO_ENTITY),
    not_served("admin/vaults.json", NO_ENTITY),
    not_served("proxy/balancer.json", NO_ENTITY),
    served("proxy/bodies.json"),
    but_for(
        "proxy/errors.json",
        &[Known { reason: NO_ENTITY, cases: &["upstream-without-targets", "upstream-all-weight-zero"] }],
    ),
    but_for(
        "proxy/headers.json",
        &[Known { reason: "Via names Weir, as that is what the answer came by", cases: &["response-via"] }],
    ),
    served("proxy/no-route.json"),
    served("proxy/paths.json"),
    served("proxy/routing.json"),
    not_served("proxy/tls.json", NO_ENTITY),
    served("proxy/upgrades.json"),
    served("plugins/acl.json"),
    served("plugins/basic-auth.json"),
    not_served("plugins/bot-detection.json", NO_PLUGIN),
    served("plugins/correlation-id.json"),
    served("plugins/cors.json"),
    served("plugins/hmac-auth.json"),
    not_served("plugins/ip-restriction.json", NO_PLUGIN),
    served("plugins/jwt.json"),
    served("plugins/key-auth.json"),
    but_for("plugins/logs.json", &[Known { reason: OTHER_PLUGINS, cases: &["http-log-*", "file-log-*"] }]),
    served("plugins/multiple-auth.json"),
    served("plugins/oauth2.json"),
    not_served("plugins/proxy-cache.json", NO_PLUGIN),
    served("plugins/rate-limiting.json"),
    not_served("plugins/redirect.json", NO_PLUGIN),
    not_served("plugins/request-size-limiting.json", NO_PLUGIN),
    served("plugins/request-termination.json"),
    not_served("plugins/request-transformer.json", NO_PLUGIN),
    not_served("plugins/response-ratelimiting.json", NO_PLUGIN),
    not_served("plugins/response-transformer.json", NO_PLUGIN),
    but_for(
        "plugins/scoping.json",
        &[Known {
            reason: OTHER_PLUGINS,
            cases: &[
                "priority-ip-restriction-after-auth",
                "priority-bot-before-cors",
                "priority-transformer-after-auth",
                "two-services-two-configs",
                "pre-function",
            ],
        }],
    ),
    served("plugins/session.json"),
];
