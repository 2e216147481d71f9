//! Starts Canaille, an authorization server that shares no code with `oidc-provider`, as a child process of a test.

use std::path::Path;

use serde_json::Value;
use tokio::process::{Child, Command};

use super::oidc_provider::start;

/// A running server; killed when dropped.
pub struct Canaille {
    pub issuer: String,
    _process: Child,
}

impl Canaille {
    /// Starts one with `settings`, those of `tests/canaille/server.py`.
    ///
    /// # Panics
    /// With what is missing or went wrong.
    pub async fn start(settings: &Value) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let venv = Command::new(root.join("scripts/venv")).arg("tests/canaille").output();
        let venv = venv.await.expect("scripts/venv runs");
        let told = String::from_utf8_lossy(&venv.stderr);
        assert!(venv.status.success(), "Canaille cannot be installed:\n{told}");
        let folder = root.join("tests/canaille");
        let mut python = Command::new(folder.join(".venv/bin/python"));
        python.current_dir(&folder).args(["server.py", &settings.to_string()]);
        let (issuer, process) = start(python, "remove tests/canaille/.venv and try again").await;
        Self { issuer, _process: process }
    }
}
