//! The report for people: a line a host, what is odd about it behind, and a sum. On a terminal, of many hosts those alone have a
//! line that have no seed, then those about which something is odd.

use std::fmt::Write;

use weir_seed::Record;

use super::Report;

/// More of them than a terminal shows at once.
const MANY: usize = 20;

pub(super) fn write(report: &Report<'_>, on_terminal: bool) -> String {
    let mut rows: Vec<[String; 5]> = report
        .hosts
        .iter()
        .zip(report.results)
        .map(|(host, pushed)| match &pushed.result {
            Ok(record) => row(host.to_string(), record, report.ask_sudo),
            Err(error) => [host.to_string(), "none".into(), "-".into(), "-".into(), error.to_string()],
        })
        .collect();
    let all = rows.len();
    if on_terminal && all > MANY {
        rows = worth_telling(report, rows);
    }
    let mut text = table(&rows);
    if rows.len() < all {
        let _ = writeln!(
            text,
            "not listed: {} with nothing to remark (--json lists all)",
            hosts(all - rows.len())
        );
    }
    for group in report.same_boot() {
        let _ = writeln!(
            text,
            "one boot ID: {}: one machine by several names, or clones of one snapshot; each got a seed of its own",
            names(group)
        );
    }
    let _ = writeln!(text, "{}", sum(report));
    text
}

/// Rows of hosts without a seed, then of those with a remark.
fn worth_telling(report: &Report<'_>, rows: Vec<[String; 5]>) -> Vec<[String; 5]> {
    let odd = |record: &Record| !remarks(record, report.ask_sudo).is_empty();
    let judged = rows.into_iter().zip(report.results);
    let (failed, others): (Vec<_>, Vec<_>) = judged.partition(|(_, pushed)| pushed.result.is_err());
    let others = others.into_iter().filter(|(_, pushed)| pushed.result.as_ref().is_ok_and(odd));
    failed.into_iter().chain(others).map(|(row, _)| row).collect()
}

fn table(rows: &[[String; 5]]) -> String {
    let mut text = String::new();
    if rows.is_empty() {
        return text;
    }
    let head = ["HOST", "SEED", "FELT", "READY", "BY"].map(str::to_owned);
    for row in std::iter::once(&head).chain(rows) {
        let width = |column: usize| {
            let cells = rows.iter().chain([&head]).filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let [host, seed, felt, ready, last] = row;
        let (host_width, seed_width, felt_width, ready_width) = (width(0), width(1), width(2), width(3));
        let _ = writeln!(
            text,
            "{host:host_width$}  {seed:seed_width$}  {felt:felt_width$}  {ready:ready_width$}  {last}"
        );
    }
    text
}

/// As many names as a line bears.
fn names(mut group: Vec<String>) -> String {
    const MOST: usize = 5;
    let more = group.len().saturating_sub(MOST);
    group.truncate(MOST);
    let named = group.join(", ");
    if more > 0 { format!("{named} and {more} more") } else { named }
}

fn hosts(count: usize) -> String {
    if count == 1 { "1 host".to_owned() } else { format!("{count} hosts") }
}

fn sum(report: &Report<'_>) -> String {
    let (all, seeded) = (report.results.len(), report.seeded());
    let hosts = hosts(all);
    let none = match all - seeded {
        0 => String::new(),
        count => format!(", {count} without"),
    };
    format!("{hosts}: {seeded} with a seed{none}, in {:.1} s", report.took.as_secs_f64())
}

fn row(host: String, record: &Record, sudo: bool) -> [String; 5] {
    let credit = if record.credited_bits > 0 {
        format!(", {} bits credited", record.credited_bits)
    } else {
        String::new()
    };
    let felt = if record.reseeded { "at once" } else { "later" };
    let ready = match (record.ready_before, record.ready_after) {
        (Some(false), Some(true)) => "now",
        (_, Some(true)) => "yes",
        (_, Some(false)) => "no",
        (_, None) => "unknown",
    };
    let mut last = record.by.clone();
    for remark in remarks(record, sudo) {
        let _ = write!(last, "; {remark}");
    }
    [host, format!("{} bytes{credit}", record.bytes), felt.to_owned(), ready.to_owned(), last]
}

/// What its reader should know or do.
fn remarks(record: &Record, sudo: bool) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(why) = &record.credit_refused {
        remarks.push(format!("not credited: {why}"));
    }
    match (&record.reseed_refused, record.superuser) {
        _ if record.reseeded => {}
        (_, Some(false)) if sudo => remarks.push("not root: sudo -n was refused".to_owned()),
        (_, Some(false)) => remarks.push("not root: use --sudo, or log in as root".to_owned()),
        (Some(why), _) => remarks.push(format!("not reseeded: {why}")),
        (None, _) => {}
    }
    if record.ready_after == Some(false) {
        remarks
            .push("its generator is not ready yet; a seed alone makes it so only with --credit".to_owned());
    }
    if let Some(why) = &record.note_failed
        && record.superuser != Some(false)
    {
        remarks.push(format!("not noted for weir doctor: {why}"));
    }
    if let Some(keys) = record.early_keys.as_ref().filter(|keys| !keys.is_empty()) {
        remarks.push(format!("made before its generator was ready, make them again: {}", keys.join(", ")));
    }
    remarks
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use weir_seed::push::{PushError, Pushed};
    use weir_seed::record::RecordError;
    use weir_seed::ssh::Host;

    use super::*;

    #[test]
    fn a_long_list_of_names_is_cut() {
        let group = |count: usize| names((1..=count).map(|n| n.to_string()).collect());
        assert_eq!(group(5), "1, 2, 3, 4, 5");
        assert_eq!(group(57), "1, 2, 3, 4, 5 and 52 more");
    }

    #[test]
    fn of_many_hosts_a_terminal_shows_those_with_something_to_say() {
        let fine = Record {
            by: "weir".into(),
            bytes: 64,
            reseeded: true,
            ready_after: Some(true),
            ..Record::default()
        };
        let odd = Record { ready_after: Some(false), ..fine.clone() };
        let pushed = |result| Pushed { result, took: Duration::ZERO };
        let mut results: Vec<Pushed> = (0..60).map(|_| pushed(Ok(fine.clone()))).collect();
        let hosts: Vec<Host> = (0..60).map(|n| format!("web{n}.test").parse().unwrap()).collect();
        let lines = |results: &[Pushed], on_terminal| {
            let report = Report { hosts: &hosts, results, ask_sudo: false, took: Duration::ZERO };
            write(&report, on_terminal).lines().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(lines(&results, false).len(), 62);
        let all_well = lines(&results, true);
        assert!(all_well.len() == 2 && all_well[0].starts_with("not listed: 60 hosts"), "{all_well:?}");
        results[7] = pushed(Ok(odd));
        results[50] = pushed(Err(PushError::Record(RecordError::Torn)));
        let told = lines(&results, true);
        assert!(
            told.len() == 5 && told[1].starts_with("web50.test") && told[2].starts_with("web7.test"),
            "{told:?}"
        );
    }

    #[test]
    fn a_remark_says_what_is_odd_and_what_to_do() {
        let fine = Record { bytes: 64, reseeded: true, ready_after: Some(true), ..Record::default() };
        assert!(remarks(&fine, false).is_empty());
        let user = Record {
            reseeded: false,
            superuser: Some(false),
            note_failed: Some("denied".into()),
            ..fine.clone()
        };
        assert_eq!(remarks(&user, false), ["not root: use --sudo, or log in as root"]);
        assert_eq!(remarks(&user, true), ["not root: sudo -n was refused"]);
        let early = Record { early_keys: Some(vec!["/etc/ssh/k".into()]), ready_after: Some(false), ..fine };
        assert_eq!(remarks(&early, false).len(), 2);
    }
}
