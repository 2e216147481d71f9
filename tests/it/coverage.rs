//! Keeps docs/requirements-coverage.md true: every row of the groups that this release claims names a test that exists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const DOCUMENT: &str = "docs/requirements-coverage.md";
const SOURCES: [&str; 3] = ["src", "tests/it", "spa-example/e2e"];
/// The groups and their sizes, so that no row gets lost.
const GROUPS: [(&str, usize); 14] = [
    ("AR", 21),
    ("CB", 15),
    ("ID", 23),
    ("CK", 19),
    ("CS", 13),
    ("PX", 25),
    ("RF", 13),
    ("RI", 6),
    ("LO", 19),
    ("KM", 9),
    ("EL", 9),
    ("CA", 12),
    ("SC", 10),
    ("FA", 16),
];
/// Rows that were decided against.
const LEFT_OUT: [&str; 7] = ["AR-13", "ID-20", "CA-08", "CS-08", "LO-17", "LO-18", "SC-08"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Row → the tests whose comment says that they prove it.
fn proofs() -> BTreeMap<String, BTreeSet<String>> {
    let mut proofs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in sources() {
        let text = std::fs::read_to_string(&path).unwrap();
        let file = path.strip_prefix(root()).unwrap().display().to_string();
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(rows) = line.trim().strip_prefix("// proves:") else { continue };
            let name = lines[at + 1..].iter().find_map(|line| test_name(line));
            let name = name.unwrap_or_else(|| panic!("{file}:{}: proves nothing", at + 1));
            for row in rows.split(',').map(str::trim).filter(|row| !row.is_empty()) {
                proofs.entry(row.to_owned()).or_default().insert(format!("{file} `{name}`"));
            }
        }
    }
    proofs
}

fn test_name(line: &str) -> Option<String> {
    let line = line.trim();
    let rust = line.split_once("fn ").map(|(_, rest)| rest.split(['(', '<']).next().unwrap_or(""));
    if let Some(name) = rust.filter(|_| !line.starts_with("//")) {
        return Some(name.to_owned());
    }
    let quote = line.strip_prefix("test(").or_else(|| line.strip_prefix("it("))?;
    let mark = quote.chars().next()?;
    Some(without_placeholders(quote[1..].split(mark).next()?).replace('|', "/"))
}

/// A name that a loop fills in, as a reader can search for it: `gives ${kind} nothing (${rows})` is `gives … nothing`.
fn without_placeholders(name: &str) -> String {
    let mut parts = name.split("${");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push('…');
        plain.push_str(part.split_once('}').unwrap().1);
    }
    plain.trim_end_matches(" (…)").to_owned()
}

/// Whether a row without a test may say what it says instead.
fn may_lack_a_test(row: &str, says: &str) -> bool {
    says.starts_with("left out: ") && LEFT_OUT.contains(&row)
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = SOURCES.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && name != "node_modules" {
                open.push(path);
            } else if ["rs", "mjs", "js"]
                .iter()
                .any(|ext| path.extension().is_some_and(|e| e == *ext))
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn the_coverage_document_names_tests_that_exist_for_every_claimed_row() {
    let proofs = proofs();
    let path = root().join(DOCUMENT);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut rows = BTreeSet::new();
    let mut unproved = Vec::new();
    let mut fresh = String::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let is_row = cells.len() == 5 && cells[1].len() == 5 && cells[1].as_bytes()[2] == b'-';
        if is_row {
            let (row, last) = (cells[1], cells[3]);
            rows.insert(row.to_owned());
            let last = match proofs.get(row) {
                Some(tests) => tests.iter().cloned().collect::<Vec<_>>().join("; "),
                None if may_lack_a_test(row, last) => last.to_owned(),
                None => {
                    unproved.push(row.to_owned());
                    "-".to_owned()
                }
            };
            fresh.extend(["| ", row, " | ", cells[2], " | ", &last, " |"]);
        } else {
            fresh.push_str(line);
        }
        fresh.push('\n');
    }
    #[expect(clippy::disallowed_methods, reason = "a switch for the person who runs the test")]
    if std::env::var_os("UPDATE_COVERAGE").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    for (group, size) in GROUPS {
        let found = rows.iter().filter(|row| row.starts_with(group)).count();
        assert_eq!(found, size, "rows of the group {group}");
    }
    let unknown: Vec<&String> = proofs.keys().filter(|row| !rows.contains(*row)).collect();
    assert!(unknown.is_empty(), "tests claim rows that the document does not know: {unknown:?}");
    assert!(unproved.is_empty(), "rows without a test: {unproved:?}");
    let current = std::fs::read_to_string(&path).unwrap();
    assert!(
        current == fresh,
        "{DOCUMENT} is stale: UPDATE_COVERAGE=1 cargo test --test it coverage"
    );
}

#[test]
fn only_listed_rows_may_lack_a_test_and_only_for_the_reason_listed() {
    for (row, says, expected) in [
        ("CA-09", "later", false),
        ("RF-13", "later", false),
        ("AR-13", "left out: sites send users to the app", true),
        ("CK-05", "later", false),
        ("CK-05", "left out: too hard", false),
        ("AR-13", "later", false),
        ("CB-13", "left out: too hard", false),
        ("CB-13", "-", false),
    ] {
        assert_eq!(may_lack_a_test(row, says), expected, "{row} {says}");
    }
}

#[test]
fn names_of_tests_are_printed_without_the_placeholders_of_their_language() {
    for (line, expected) in [
        ("    fn a_test_of_ours() {", Some("a_test_of_ours")),
        ("it(\"says what it does\", async () => {", Some("says what it does")),
        ("it(`gives ${kind} nothing (${rows})`, async () => {", Some("gives … nothing")),
        ("test('${kind} gets a|b', () => {", Some("… gets a/b")),
        ("// fn no_test() {", None),
    ] {
        assert_eq!(test_name(line).as_deref(), expected, "{line}");
    }
}
