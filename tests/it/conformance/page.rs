//! The table of docs/conformance.md, made from the list, and what is noted of each row that ran. A row is in the page or the
//! test fails; `scripts/conformance` looks for the note of every row that the page says runs.

use std::fs;
use std::path::{Path, PathBuf};

use super::row::{At, Play, Row};

const DOCUMENT: &str = "docs/conformance.md";
const BEGIN: &str =
    "<!-- rows: written by `UPDATE_CONFORMANCE=1 cargo test --test it conformance` -->\n";
const END: &str = "<!-- end of rows -->\n";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Leaves the outcome of a row for `make conformance`.
pub fn note(row: &Row, is_good: bool) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("conformance");
    fs::create_dir_all(&folder).unwrap();
    let outcome = match row.play {
        _ if !is_good => "FAILED",
        Play::Stop(..) | Play::Refresh(false, _) | Play::LogoutToken(false, ..) => {
            "refused as expected"
        }
        _ => "passed",
    };
    fs::write(folder.join(row.name), format!("{outcome}\n")).unwrap();
}

/// What the page says of a row.
fn expected(row: &Row) -> String {
    let at = |at: At| match at {
        At::Start => "refused: before the authorization request",
        At::Response => "refused: no token request",
        At::Tokens => "refused: no token is used",
        At::Userinfo => "refused: after userinfo",
    };
    match row.play {
        Play::Login(..) => "runs: login".to_owned(),
        Play::Stop(where_, _) => format!("runs: {}", at(where_)),
        Play::Refresh(true, _) => "runs: the new token is used".to_owned(),
        Play::Refresh(false, _) => "runs: refused: the new token is never used".to_owned(),
        Play::LogoutToken(true, ..) => "runs: the session ends".to_owned(),
        Play::LogoutToken(false, ..) => "runs: refused: the session goes on".to_owned(),
        Play::Scene(_) => "runs: all steps".to_owned(),
        Play::Elsewhere(test) => format!("by the test `{test}`"),
        Play::OutOfScope(why) => format!("out of scope: {why}"),
    }
}

fn table() -> String {
    let mut table =
        "\n| module | plan | what the server does | here |\n|---|---|---|---|\n".to_owned();
    for row in super::all() {
        let cells = [row.name, row.plans, row.server, &expected(row)];
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        table.extend(["| ", &cells.join(" | "), " |\n"]);
    }
    table.push('\n');
    table
}

/// Whether there is a test of that name.
pub fn is_a_test(name: &str) -> bool {
    let mut open: Vec<PathBuf> = vec![root().join("tests/it")];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if fs::read_to_string(&path)
                .is_ok_and(|text| text.contains(&format!("fn {name}(")))
            {
                return true;
            }
        }
    }
    false
}

#[test]
fn the_page_has_the_rows_of_the_list_each_under_a_name_of_its_own() {
    let path = root().join(DOCUMENT);
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let fresh = format!("{before}{BEGIN}{}{END}{after}", table());
    #[expect(clippy::disallowed_methods, reason = "a switch for the person who runs the test")]
    if std::env::var_os("UPDATE_CONFORMANCE").is_some() {
        fs::write(&path, &fresh).unwrap();
    }
    let current = fs::read_to_string(&path).unwrap();
    assert!(
        current == fresh,
        "{DOCUMENT} is stale: UPDATE_CONFORMANCE=1 cargo test --test it conformance"
    );
    let mut names: Vec<&str> = super::all().map(|row| row.name).collect();
    names.sort_unstable();
    let rows = names.len();
    names.dedup();
    assert_eq!(names.len(), rows, "a name twice");
}
