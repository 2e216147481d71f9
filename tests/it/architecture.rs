//! Keeps the imports running one way, and the documents pointing at files that exist.

use std::path::{Path, PathBuf};

/// From the top to the bottom; a module may use those of lower layers, never those of its own or a higher one.
const LAYERS: [&[&str]; 9] = [
    &["cli"],
    &["server", "dev"],
    &["endpoints", "proxy", "spa"],
    &["edge", "guard"],
    &["tokens"],
    &["session"],
    &["oidc"],
    &["store", "audit", "traces"],
    &["telemetry", "config", "clock", "alarm", "secret", "formats", "http1"],
];
/// Siblings that may use each other, with the reason.
const ALLOWED: [(&str, &str, &str); 3] = [
    ("edge", "guard", "a refusal becomes a problem document"),
    ("config", "secret", "configured keys and client secrets are redacted values"),
    ("telemetry", "config", "the log section says how to log"),
];
/// Modules that the browser's framework must not leak into.
const WITHOUT_ACTIX: [&str; 9] =
    ["oidc", "tokens", "session", "config", "guard", "store", "audit", "telemetry", "http1"];

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// Every Rust file under `src/<module>` with its text.
fn files(module: &str) -> Vec<(PathBuf, String)> {
    let single = src().join(format!("{module}.rs"));
    let mut open = vec![src().join(module)];
    let mut found = Vec::new();
    if single.is_file() {
        found.push((single.clone(), std::fs::read_to_string(single).unwrap()));
    }
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found
}

/// The modules of this crate that a text names: `crate::x` and `use crate::{x, y::z}`.
fn used(text: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or(""))
        .collect::<Vec<_>>()
        .join("\n");
    let mut names = Vec::new();
    for rest in code.split("crate::").skip(1) {
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0_i32;
            let mut name = String::new();
            let mut at_start = true;
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => at_start = true,
                    c if c.is_whitespace() => {}
                    c if depth == 0 && at_start && (c.is_alphanumeric() || c == '_') => {
                        name.push(c);
                    }
                    _ => at_start = false,
                }
                if (c == ',' || c == ':') && depth == 0 && !name.is_empty() {
                    names.push(std::mem::take(&mut name));
                }
            }
            names.extend((!name.is_empty()).then_some(name));
        } else {
            names.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    names
}

#[test]
fn imports_run_one_way() {
    let mut wrong = Vec::new();
    let mut edges = 0;
    for (depth, modules) in LAYERS.iter().enumerate() {
        for module in *modules {
            let sources = files(module);
            assert!(!sources.is_empty(), "the layering names {module}, which does not exist");
            for (path, text) in sources {
                for target in used(&text).into_iter().filter(|target| target != module) {
                    let Some(reached) = layer(&target) else { continue };
                    edges += 1;
                    let allowed =
                        ALLOWED.iter().any(|(from, to, _)| from == module && *to == target);
                    if reached <= depth && !allowed {
                        wrong.push(format!("{}: uses {target}", path.display()));
                    }
                }
            }
        }
    }
    assert!(edges > 50, "the test reads no imports any more: {edges}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_module_stands_in_a_layer() {
    let text = std::fs::read_to_string(src().join("lib.rs")).unwrap();
    let modules = text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let homeless: Vec<&str> = modules.filter(|module| layer(module).is_none()).collect();
    assert!(homeless.is_empty(), "{homeless:?}");
}

#[test]
fn the_frameworks_types_stay_at_the_edge() {
    for module in WITHOUT_ACTIX {
        for (path, text) in files(module) {
            assert!(!text.contains("actix_web"), "{} names actix_web", path.display());
        }
    }
}

#[test]
fn documents_name_files_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut named = 0;
    for document in ["docs/architecture.md", "docs/life-of-a-request.md", "CONTRIBUTING.md"] {
        let text = std::fs::read_to_string(root.join(document)).unwrap();
        for piece in text.split('`').skip(1).step_by(2) {
            let is_path = ["src/", "tests/", "docs/", "config/", "spa-example/", "scripts/"]
                .iter()
                .any(|folder| piece.starts_with(folder));
            if is_path && !piece.contains(['*', ' ', '<']) {
                named += 1;
                assert!(root.join(piece).exists(), "{document} names {piece}, which is not there");
            }
        }
    }
    assert!(named > 30, "the documents name too few files: {named}");
}
