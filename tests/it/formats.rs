//! Neighbouring releases read what each other writes: the table of releases, the source, and a golden cookie of each version.

use std::path::Path;

use cloakroom::formats::{ALL, SEAL};
use rstest::rstest;

/// A row of the table in `docs/upgrading.md`: per format the versions that are read, and the one that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Release {
    name: String,
    formats: Vec<((u8, u8), u8)>,
}

/// `1` or `1 to 3`.
fn range(text: &str) -> (u8, u8) {
    let (oldest, newest) = text.split_once(" to ").unwrap_or((text, text));
    (oldest.parse().unwrap(), newest.parse().unwrap())
}

fn table(document: &str) -> Vec<Release> {
    let rows = document.lines().filter(|line| line.starts_with("| ")).skip(2);
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let formats = cells[1..].chunks(2).map(|pair| (range(pair[0]), pair[1].parse().unwrap()));
        Release { name: cells[0].to_owned(), formats: formats.collect() }
    })
    .collect()
}

/// What would cost sessions on the way from one release to the next, or back.
fn faults(releases: &[Release]) -> Vec<String> {
    let mut faults = Vec::new();
    for release in releases {
        for ((oldest, newest), writes) in &release.formats {
            if !(oldest..=newest).contains(&writes) {
                faults.push(format!("{} does not read what it writes", release.name));
            }
        }
    }
    for pair in releases.windows(2) {
        let formats = pair[0].formats.iter().zip(&pair[1].formats);
        let reads =
            |(oldest, newest): (u8, u8), version: u8| oldest <= version && version <= newest;
        for ((old_reads, old_writes), (new_reads, new_writes)) in formats {
            if !reads(*old_reads, *new_writes) {
                faults.push(format!("{} writes what {} cannot read", pair[1].name, pair[0].name));
            }
            if !reads(*new_reads, *old_writes) {
                faults.push(format!("{} cannot read what {} writes", pair[1].name, pair[0].name));
            }
        }
    }
    faults
}

fn path(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[test]
fn neighbouring_releases_read_each_other_and_the_last_one_is_this_one() {
    let releases = table(&std::fs::read_to_string(path("docs/upgrading.md")).unwrap());
    assert_eq!(faults(&releases), Vec::<String>::new());
    let last = releases.last().unwrap();
    let formats = ALL.iter().map(|format| (format.reads, format.writes)).collect();
    let this = Release { name: env!("CARGO_PKG_VERSION").to_owned(), formats };
    assert_eq!(last, &this, "a release adds its row to docs/upgrading.md");
}

#[test]
fn there_is_a_golden_cookie_of_every_version_that_is_read() {
    for version in SEAL.reads.0..=SEAL.reads.1 {
        let name = format!("src/session/golden-v{version}.txt");
        assert!(path(&name).is_file(), "{name} is missing, and a test that opens it");
    }
}

#[rstest]
#[case::all_the_same("| 1 | 1 | 1 |\n| 2 | 1 | 1 |", &[])]
#[case::read_first("| 1 | 1 | 1 |\n| 2 | 1 to 2 | 1 |\n| 3 | 1 to 2 | 2 |\n| 4 | 2 | 2 |", &[])]
#[case::at_once("| 1 | 1 | 1 |\n| 2 | 1 to 2 | 2 |", &["2 writes what 1 cannot read"])]
#[case::dropped_too_soon("| 1 | 1 to 2 | 1 |\n| 2 | 2 | 2 |", &["2 cannot read what 1 writes"])]
#[case::nonsense("| 1 | 1 | 2 |", &["1 does not read what it writes"])]
fn what_would_cost_sessions_is_found(#[case] rows: &str, #[case] expected: &[&str]) {
    let document = format!("| release | a | b |\n| --- | --- | --- |\n{rows}\n");
    assert_eq!(faults(&table(&document)), expected);
}
