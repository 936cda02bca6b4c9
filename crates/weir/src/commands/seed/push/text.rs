//! The report for people: a line a host, what is odd about it behind, and a sum.

use std::fmt::Write;

use weir_seed::Record;

use super::Report;

pub(super) fn write(report: &Report<'_>) -> String {
    let rows: Vec<[String; 5]> = report
        .hosts
        .iter()
        .zip(report.results)
        .map(|(host, pushed)| match &pushed.result {
            Ok(record) => row(host.to_string(), record, report.ask_sudo),
            Err(error) => [host.to_string(), "none".into(), "-".into(), "-".into(), error.to_string()],
        })
        .collect();
    let mut text = String::new();
    let head = ["HOST", "SEED", "FELT", "READY", "BY"].map(str::to_owned);
    for row in std::iter::once(&head).chain(&rows) {
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

/// As many names as a line bears.
fn names(mut group: Vec<String>) -> String {
    const MOST: usize = 8;
    let more = group.len().saturating_sub(MOST);
    group.truncate(MOST);
    if more > 0 {
        group.push(format!("{more} more"));
    }
    group.join(", ")
}

fn sum(report: &Report<'_>) -> String {
    let (all, seeded) = (report.results.len(), report.seeded());
    let hosts = if all == 1 { "1 host".to_owned() } else { format!("{all} hosts") };
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
    use super::*;

    #[test]
    fn a_long_list_of_names_is_cut() {
        let group = |count: usize| names((1..=count).map(|n| n.to_string()).collect());
        assert_eq!(group(8), "1, 2, 3, 4, 5, 6, 7, 8");
        assert_eq!(group(300), "1, 2, 3, 4, 5, 6, 7, 8, 292 more");
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
