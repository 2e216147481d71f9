//! `[control]`: the socket of those who run the process. Makes no socket: that is done by the process that serves.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::raw::RawControl;
use super::report::At;
use super::types::ControlConfig;

/// What every system takes as the name of a socket, and what is appended while it is made.
const LONGEST: usize = 100 - ".new".len();

/// Turns the section into its configuration.
pub(super) fn control(at: &At<'_>, raw: &RawControl) -> Option<ControlConfig> {
    let socket = match &raw.socket {
        Some(text) => Some(socket(&at.key("socket"), text)?),
        None => None,
    };
    Some(ControlConfig { socket })
}

/// The path of a socket that can be made there.
pub(super) fn socket(at: &At<'_>, text: &str) -> Option<PathBuf> {
    let path = Path::new(text);
    if path.file_name().is_none() || path.is_dir() {
        return at.fail("not the name of a socket", "write e.g. \"/run/cloakroom/control.sock\"");
    }
    if path.as_os_str().as_bytes().len() > LONGEST {
        return at.fail("too long for the name of a socket", "choose a folder with a shorter name");
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if !folder.unwrap_or(Path::new(".")).is_dir() {
        let mend = "make a folder that only the user of this process can write to";
        return at.fail("there is no such folder", mend);
    }
    Some(path.to_owned())
}
