//! The text form of the corpora: bytes written out so that an editor shows every one of them, and what the files around
//! them say. Line ends of a file mean nothing; `\r`, `\n`, `\t`, `\0`, `\\` and `\xHH` are bytes, `{x*1000}` is a thousand
//! times what stands before the last star.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of a corpus.
pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name)
}

/// Turns written-out text into bytes; `names` are what `{name}` stands for.
pub fn bytes(text: &str, names: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(escaped) = rest.strip_prefix('\\') {
            let (byte, length) = escape(escaped);
            out.push(byte);
            rest = &escaped[length..];
        } else if let Some((inner, after)) = braced(rest) {
            out.extend(expand(inner, names));
            rest = after;
        } else {
            out.extend_from_slice(&rest.as_bytes()[..first.len_utf8()]);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// The same, for what has to be text.
pub fn string(text: &str, names: &[(&str, &str)]) -> String {
    String::from_utf8(bytes(text, names)).unwrap()
}

fn escape(after: &str) -> (u8, usize) {
    match after.as_bytes().first() {
        Some(b'r') => (b'\r', 1),
        Some(b'n') => (b'\n', 1),
        Some(b't') => (b'\t', 1),
        Some(b'0') => (0, 1),
        Some(b'\\') => (b'\\', 1),
        Some(b'x') => (u8::from_str_radix(&after[1..3], 16).unwrap(), 3),
        _ => panic!("no such escape: \\{after}"),
    }
}

/// `{name}` or `{text*number}`; any other brace is itself.
fn braced(text: &str) -> Option<(&str, &str)> {
    let (inner, after) = text.strip_prefix('{')?.split_once('}')?;
    let is_name = !inner.is_empty() && inner.bytes().all(|byte| byte.is_ascii_lowercase());
    (is_name || repeated(inner).is_some()).then_some((inner, after))
}

fn repeated(inner: &str) -> Option<(&str, usize)> {
    let (text, times) = inner.rsplit_once('*')?;
    Some((text, times.parse().ok()?))
}

fn expand(inner: &str, names: &[(&str, &str)]) -> Vec<u8> {
    if let Some((text, times)) = repeated(inner) {
        return bytes(text, names).repeat(times);
    }
    let known = names.iter().find(|(name, _)| *name == inner);
    known.map_or_else(
        || panic!("nothing is called {{{inner}}}"),
        |(_, value)| value.as_bytes().to_vec(),
    )
}

/// One file of a corpus of messages: what is expected, an empty line, the bytes.
pub struct Case {
    pub name: String,
    heads: Vec<(String, String)>,
    raw: String,
}

impl Case {
    /// Every case of a folder, in the order of their names.
    pub fn all(corpus: &str) -> Vec<Self> {
        let entries = fs::read_dir(folder(corpus)).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "http"));
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let (head, raw) = text.split_once("\n\n").unwrap_or((&text, ""));
        let heads = head.lines().filter(|line| !line.starts_with('#'));
        let heads = heads.map(|line| {
            let (key, value) = line.split_once(':').unwrap_or_else(|| panic!("{path:?}: {line}"));
            (key.to_owned(), value.trim().to_owned())
        });
        Self {
            name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
            heads: heads.collect(),
            raw: raw.lines().collect(),
        }
    }

    /// Every value of a key.
    pub fn all_of(&self, key: &str) -> Vec<&str> {
        let lines = self.heads.iter().filter(|(name, _)| name == key);
        lines.map(|(_, value)| value.as_str()).collect()
    }

    /// The only value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        let all = self.all_of(key);
        assert!(all.len() < 2, "{}: {key} stands there twice", self.name);
        all.first().copied()
    }

    /// The message.
    pub fn message(&self, names: &[(&str, &str)]) -> Vec<u8> {
        bytes(&self.raw, names)
    }

    /// Fails on a key that nobody reads.
    pub fn allow(&self, keys: &[&str]) {
        for (key, _) in &self.heads {
            assert!(keys.contains(&key.as_str()), "{}: nothing reads {key:?}", self.name);
        }
    }
}

/// The cases of a file with one case for each line: `what => outcome`. Lines that start with `#` are comments.
pub fn table(name: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(folder(name)).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (what, outcome) =
                line.rsplit_once(" => ").unwrap_or_else(|| panic!("{name}: no outcome: {line}"));
            (what.trim_end().to_owned(), outcome.trim().to_owned())
        })
        .collect()
}

#[test]
fn the_text_form_writes_every_byte_out() {
    let names = [("case", "x")];
    assert_eq!(bytes(r"a\r\n\t\0\\\xff", &names), b"a\r\n\t\0\\\xff");
    assert_eq!(bytes("{a*3}{case}{ {}{b:\\n*2}", &names), b"aaax{ {}b:\nb:\n");
}
