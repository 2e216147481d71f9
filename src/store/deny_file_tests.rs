//! What of a deny file is believed after crashes and accidents, and who may read it.

use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;
use rstest::rstest;

use super::super::deny_entry::Tokens;
use super::super::known_as::Key;
use super::*;

const NOW: Timestamp = Timestamp(1_000);

fn folder(name: &str) -> PathBuf {
    let name = format!("cloakroom-deny-{}-{name}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    let _left_from_before = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn entry(n: u8, until: u64) -> Entry {
    let created_until = if n.is_multiple_of(2) { Timestamp(u64::MAX) } else { Timestamp(77) };
    let tokens = if n.is_multiple_of(3) { Tokens::Leave } else { Tokens::Revoke };
    Entry { key: Key([n; 16]), created_until, until: Timestamp(until), tokens }
}

fn opened(path: &Path) -> Vec<Entry> {
    DenyFile::open(path, NOW).unwrap().1
}

// proves: LO-01
#[test]
fn entries_survive_in_a_private_file_until_their_time_is_over() {
    let path = folder("survive").join("deny");
    let (mut file, none) = DenyFile::open(&path, NOW).unwrap();
    assert!(none.is_empty());
    file.append(&[entry(1, 1_500), entry(2, 1_000)]).unwrap();
    file.append(&[entry(4, 1_001)]).unwrap();
    assert_eq!(file.lines(), 3);
    drop(file);
    assert_eq!(opened(&path), [entry(1, 1_500), entry(4, 1_001)]);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 3, "written anew without the dead: {text}");
    for name in ["deny", "deny.lock"] {
        let mode = fs::metadata(path.with_file_name(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(!path.with_file_name("deny.new").exists());
}

#[test]
fn two_processes_never_share_a_file() {
    let path = folder("shared").join("deny");
    let first = DenyFile::open(&path, NOW).unwrap();
    let second = DenyFile::open(&path, NOW).map(drop);
    assert!(matches!(second, Err(DenyFileError::Taken { .. })), "{second:?}");
    drop(first);
    opened(&path);
}

// proves: LO-01
#[test]
fn a_crash_at_any_byte_of_the_last_line_costs_that_line_at_most() {
    let path = folder("torn").join("deny");
    DenyFile::open(&path, NOW).unwrap().0.append(&[entry(1, 1_500), entry(2, 1_600)]).unwrap();
    let whole = fs::read(&path).unwrap();
    let last =
        whole.len() - 1 - whole[..whole.len() - 1].iter().rev().position(|b| *b == b'\n').unwrap();
    for end in last..whole.len() {
        for tail in [&b""[..], &[0; 3], &[0; 4_096]] {
            fs::write(&path, [&whole[..end], tail].concat()).unwrap();
            assert_eq!(opened(&path), [entry(1, 1_500)], "{end}");
            // What is appended next stands on a line of its own.
            let (mut file, _) = DenyFile::open(&path, NOW).unwrap();
            file.append(&[entry(3, 1_700)]).unwrap();
            drop(file);
            assert_eq!(opened(&path), [entry(1, 1_500), entry(3, 1_700)], "{end}");
        }
    }
}

#[rstest]
#[case::another_file("[server]\nlisten = 1\n", 1)]
#[case::another_file_of_one_line("secret", 1)]
#[case::another_version("cloakroom deny list 2\n", 1)]
#[case::in_the_middle("cloakroom deny list 1\nnonsense\nAQEBAQEBAQEBAQEBAQEBAQ 1500 - revoke\n", 2)]
#[case::too_long("cloakroom deny list 1\nAQEBAQEBAQEBAQEBAQEBAQ 1500 - leave\nLONG\nLONG\n", 3)]
#[case::no_time("cloakroom deny list 1\nAQEBAQEBAQEBAQEBAQEBAQ - - leave\nx\n", 2)]
#[case::no_word("cloakroom deny list 1\nAQEBAQEBAQEBAQEBAQEBAQ 1500 -\nx\n", 2)]
#[case::another_word("cloakroom deny list 1\nAQEBAQEBAQEBAQEBAQEBAQ 1500 - keep\nx\n", 2)]
#[case::more("cloakroom deny list 1\nAQEBAQEBAQEBAQEBAQEBAQ 1 2 leave 3\nx\n", 2)]
fn anything_else_is_refused_by_file_and_line(#[case] text: &str, #[case] line: usize) {
    let path = folder(&format!("garbage-{line}-{}", text.len())).join("deny");
    fs::write(&path, text.replace("LONG", &"A".repeat(5_000))).unwrap();
    let before = fs::read(&path).unwrap();
    let error = DenyFile::open(&path, NOW).map(drop).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}:{line}: ", path.display())), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before, "it is left alone");
}

#[test]
fn an_empty_file_is_a_list_and_a_folder_is_none() {
    let folder = folder("kinds");
    let path = folder.join("deny");
    fs::write(&path, "").unwrap();
    assert!(opened(&path).is_empty());
    assert!(DenyFile::open(&folder, NOW).is_err());
    assert!(matches!(DenyFile::open(&folder.join("no/deny"), NOW), Err(DenyFileError::Io { .. })));
}

proptest! {
    #[test]
    fn any_bytes_are_a_line_or_none_without_panic(line: Vec<u8>, text in "\\PC*") {
        let _ = Entry::from_line(&line);
        let _ = Entry::from_line(text.as_bytes());
    }

    #[test]
    fn an_entry_survives(key: [u8; 16], until: u64, created: u64) {
        let entry = Entry {
            key: Key(key),
            until: Timestamp(until),
            created_until: Timestamp(created),
            tokens: if created.is_multiple_of(2) { Tokens::Leave } else { Tokens::Revoke },
        };
        let mut text = String::new();
        text.push_str(&(entry.to_line() + "\n"));
        prop_assert!(text.len() as u64 <= LONGEST_LINE);
        prop_assert_eq!(Entry::from_line(text.trim_end_matches('\n').as_bytes()), Some(entry));
    }
}
