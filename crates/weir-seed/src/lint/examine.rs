//! The rules, applied to a tree: patterns become places, places are tested, what passes no test is a finding.
//!
//! Contents are read last and all in one go, because an archive gives them in its own order.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use weir_report::Verdict;

use weir_report::shown;

use super::pattern::{Expanded, Expander, known};
use super::place::Place;
use super::report::{Finding, FixedBy, Unseen, command, path_word};
use super::rules::{ESP_SEED, Fix, KEY_MAKER_WORDS, KEY_MAKERS, RULES, Rule, Test, place_of, rule};
use super::sniff::Content;
use super::tree::{Change, Entry, Kind, Remembering, Tree, resolve};

/// What a look found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) findings: Vec<Finding>,
    pub(super) unseen: BTreeSet<Unseen>,
}

/// Something that the rules mean, before its content is known.
struct Candidate {
    rule: &'static Rule,
    place: Place,
    entry: Entry,
}

/// Looks at an image. `root`: what commands name it by, or `None` for `$ROOT`.
pub(super) fn examine(tree: &mut dyn Tree, root: Option<&[u8]>) -> io::Result<Found> {
    let tree: &mut dyn Tree = &mut Remembering::new(tree);
    let mut look = Look { found: Found::default(), root, expander: Expander::new(tree)? };
    let (mut sure, mut questions) = (Vec::new(), Vec::new());
    let mut missing = Vec::new();
    for rule in RULES {
        let there = look.places(tree, rule.places);
        if let Test::Missing(program) = rule.test {
            if there.is_empty() && look.is_there(tree, program) {
                missing.push(rule);
            }
            continue;
        }
        for place in there {
            match look.question(tree, rule, &place) {
                Ok(Some((candidate, Some(content)))) => questions.push((candidate, content)),
                Ok(Some((candidate, None))) => sure.push(candidate),
                Ok(None) => {}
                Err(error) => look.unseen(&place, &error),
            }
        }
    }
    sure.extend(look.answer(tree, questions)?);
    for candidate in sure {
        look.add(tree, candidate)?;
    }
    look.add_missing(tree, &missing)?;
    look.found.findings.sort_by_cached_key(|finding| (place_of(finding.id), finding.place.clone()));
    // Rules that say more of a file stand before those that say less.
    let mut told = BTreeSet::new();
    look.found.findings.retain(|finding| told.insert((finding.group, finding.place.clone())));
    // Where two sections mean one file, what is graver is said, and that once.
    let mut gravest: BTreeMap<Place, Verdict> = BTreeMap::new();
    for finding in &look.found.findings {
        let before = gravest.entry(finding.place.clone()).or_insert(finding.verdict);
        *before = finding.verdict.max(*before);
    }
    look.found.findings.retain(|finding| {
        gravest.get(&finding.place) == Some(&finding.verdict) && gravest.remove(&finding.place).is_some()
    });
    Ok(look.found)
}

/// Looks at an EFI system partition by itself, the image's `number`th.
pub(super) fn examine_esp(tree: &mut dyn Tree, number: usize) -> io::Result<Found> {
    let mut found = Found::default();
    let place = known(ESP_SEED);
    let entry = tree.entry(&place)?.filter(|entry| entry.kind == Kind::File && entry.bytes > 0);
    if let (Some(_), Some(rule)) = (entry, rule("seed.esp")) {
        found.findings.push(Finding {
            path: Finding::shown_path(&place, Some(number)),
            command: Some(format!("rm -f -- \"$ESP\"{ESP_SEED}")),
            on_esp: Some(number),
            ..finding(rule, place, rule.verdict, Some(Change::Remove))
        });
    }
    Ok(found)
}

struct Look<'a> {
    found: Found,
    root: Option<&'a [u8]>,
    expander: Expander,
}

impl Look<'_> {
    fn places(&mut self, tree: &mut dyn Tree, patterns: &[&str]) -> BTreeSet<Place> {
        let mut places = BTreeSet::new();
        for pattern in patterns {
            let Expanded { places: more, unseen } = self.expander.expand(tree, pattern);
            places.extend(more);
            for (place, error) in unseen {
                self.unseen(&place, &error);
            }
        }
        places
    }

    fn is_there(&mut self, tree: &mut dyn Tree, path: &str) -> bool {
        let place = known(path);
        match resolve(tree, &place) {
            Ok(found) => found.is_some(),
            Err(error) => {
                self.unseen(&place, &error);
                false
            }
        }
    }

    fn unseen(&mut self, place: &Place, error: &io::Error) {
        self.found.unseen.insert(Unseen { what: place.to_string(), why: shown(&error.to_string()) });
    }

    /// Whether a place may be a finding, and what its content must hold for that.
    fn question(
        &mut self,
        tree: &mut dyn Tree,
        rule: &'static Rule,
        place: &Place,
    ) -> io::Result<Option<(Candidate, Option<Content>)>> {
        let place = match rule.test {
            Test::Leads(_) => resolve(tree, place)?,
            _ => Some(place.clone()),
        };
        let Some(place) = place else {
            return Err(io::Error::other("a link that leads nowhere in this image"));
        };
        let Some(entry) = tree.entry(&place)? else { return Ok(None) };
        let candidate = Candidate { rule, place, entry };
        let is_file = entry.kind == Kind::File && entry.bytes > 0;
        if entry.kind == Kind::Other && rule.test != Test::There {
            return Err(io::Error::other(
                "neither a file nor a folder nor a link, but a device, a FIFO or a socket",
            ));
        }
        Ok(match rule.test {
            Test::There => Some((candidate, None)),
            Test::NotEmpty | Test::Credited(_) if is_file => Some((candidate, None)),
            Test::Holds(content) | Test::Leads(content) if is_file => {
                if content == Content::Seed && entry.bytes > content.most_bytes() {
                    let why = format!("only its first {} MiB were searched", content.most_bytes() >> 20);
                    self.unseen(&candidate.place, &io::Error::other(why));
                }
                Some((candidate, Some(content)))
            }
            _ => None,
        })
    }

    /// Reads what the questions are about, each file once, and keeps the candidates whose content is what the rule means.
    fn answer(
        &mut self,
        tree: &mut dyn Tree,
        questions: Vec<(Candidate, Content)>,
    ) -> io::Result<Vec<Candidate>> {
        let mut asked: BTreeMap<Place, Vec<(Candidate, Content)>> = BTreeMap::new();
        for question in questions {
            asked.entry(question.0.place.clone()).or_default().push(question);
        }
        let most = |of: &Vec<(Candidate, Content)>| of.iter().map(|(_, content)| content.most_bytes()).max();
        let wanted = asked.iter().filter_map(|(place, of)| Some((place.clone(), most(of)?))).collect();
        let mut holding = Vec::new();
        tree.read(&wanted, &mut |place, file| {
            let of = asked.remove(place).unwrap_or_default();
            let contents: Vec<Content> = of.iter().map(|(_, content)| *content).collect();
            match file.and_then(|file| Content::which(&contents, file)) {
                Ok(answers) => {
                    let held = of.into_iter().zip(answers).filter(|(_, held)| *held);
                    holding.extend(held.map(|((candidate, _), _)| candidate));
                }
                Err(error) => self.unseen(place, &error),
            }
        })?;
        Ok(holding)
    }

    fn add(&mut self, tree: &mut dyn Tree, candidate: Candidate) -> io::Result<()> {
        let Candidate { rule, place, entry } = candidate;
        let credited = match rule.test {
            Test::Credited(attribute) => tree.has_attribute(&place, attribute),
            _ => true,
        };
        let verdict = if credited { rule.verdict } else { Verdict::Warning };
        let change = match rule.fix {
            Fix::Freely(change) | Fix::Keys(change) => Some(change),
            Fix::LinkTo(target) if tree.entry(&known(target))?.is_some() => Some(Change::Link(target)),
            Fix::LinkTo(_) => Some(Change::Remove),
            Fix::DebianContent(content) if tree.entry(&known("/etc/debian_version"))?.is_some() => {
                Some(Change::Content(content))
            }
            Fix::DebianContent(_) => Some(Change::Remove),
            Fix::Person(_) | Fix::Nothing => None,
        };
        let command = match (change, rule.fix) {
            (Some(change), _) => Some(command(self.root, &place, change, entry.kind == Kind::Folder)),
            (None, Fix::Person(program)) => Some(format!("{program} {}", path_word(self.root, &place))),
            _ => None,
        };
        let found = finding(rule, place, verdict, change);
        self.found.findings.push(Finding { command, ..found });
        Ok(())
    }

    /// What is not there and should be, and what host keys are to be replaced by.
    fn add_missing(&mut self, tree: &mut dyn Tree, missing: &[&'static Rule]) -> io::Result<()> {
        let is_key = |finding: &Finding| finding.id == "key.ssh-host";
        let has_keys = self.found.findings.iter().any(is_key);
        let asks = missing.iter().any(|rule| rule.id == "key.ssh-no-maker");
        let made = (has_keys || asks) && self.makes_host_keys(tree)?;
        if has_keys && !made {
            let warning = " Nothing here makes new ones at the first boot: add a unit that runs ssh-keygen -A, or sshd will not start.";
            self.found
                .findings
                .iter_mut()
                .filter(|finding| is_key(finding))
                .for_each(|finding| finding.why.push_str(warning));
        }
        for rule in missing {
            if rule.id != "key.ssh-no-maker" || !made {
                let pattern = rule.places.first().copied().unwrap_or("/");
                self.found.findings.push(finding(rule, known(pattern), rule.verdict, None));
            }
        }
        Ok(())
    }

    fn makes_host_keys(&mut self, tree: &mut dyn Tree) -> io::Result<bool> {
        let mut wanted = BTreeMap::new();
        for place in self.places(tree, KEY_MAKERS) {
            if let Ok(Some(place)) = resolve(tree, &place) {
                wanted.insert(place, KEY_MAKER_WORDS.most_bytes());
            }
        }
        let mut makes = false;
        tree.read(&wanted, &mut |_, file| {
            makes = makes || file.and_then(|file| KEY_MAKER_WORDS.is_in(file)).unwrap_or_default();
        })?;
        Ok(makes)
    }
}

fn finding(rule: &'static Rule, place: Place, verdict: Verdict, change: Option<Change>) -> Finding {
    Finding {
        id: rule.id,
        verdict,
        path: place.to_string(),
        what: rule.what,
        why: rule.why.to_owned(),
        command: None,
        fix: match rule.fix {
            Fix::Freely(_) | Fix::LinkTo(_) | Fix::DebianContent(_) => FixedBy::Fix,
            Fix::Keys(_) => FixedBy::FixKeys,
            Fix::Person(_) => FixedBy::Person,
            Fix::Nothing => FixedBy::Nothing,
        },
        allowed: false,
        group: rule.group,
        place,
        on_esp: None,
        change,
    }
}
