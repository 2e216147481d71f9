//! Draws the CPU time per request of the three servers as bars: the picture of docs/performance.md.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const WIDTH: f64 = 720.0;
const LEFT: f64 = 100.0;
const BAR: f64 = 18.0;
const ROW: f64 = 22.0;
const HEADING: f64 = 34.0;

/// What has been measured so far, in the order of the run.
#[derive(Debug, Default)]
pub struct Chart(RefCell<Vec<Group>>);

/// One kind of request: a heading, and a server and its µs per bar.
#[derive(Debug)]
struct Group {
    heading: &'static str,
    bars: Vec<(&'static str, f64)>,
}

impl Chart {
    /// Adds a group of bars.
    pub fn add(&self, heading: &'static str, bars: Vec<(&'static str, f64)>) {
        self.0.borrow_mut().push(Group { heading, bars });
    }

    /// Writes the picture into cargo's folder for such files; `None` when nothing was measured.
    pub fn write(&self) -> std::io::Result<Option<PathBuf>> {
        if self.0.borrow().is_empty() {
            return Ok(None);
        }
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cpu-per-request.svg");
        std::fs::write(&file, self.svg())?;
        Ok(Some(file))
    }

    fn svg(&self) -> String {
        let groups = self.0.borrow();
        let all = groups.iter().flat_map(|group| &group.bars).map(|(_, us)| *us);
        let longest = all.fold(1.0, f64::max);
        let (mut y, mut drawn) = (0.0, String::new());
        for Group { heading, bars } in groups.iter() {
            y += HEADING;
            let _ = writeln!(drawn, r#"<text x="0" y="{:.0}" class="h">{heading}</text>"#, y - 8.0);
            for (server, us) in bars {
                let length = us / longest * (WIDTH - LEFT - 90.0);
                let class = if *server == "Cloakroom" { "ours" } else { "theirs" };
                let text = y + 13.0;
                let _ = writeln!(
                    drawn,
                    r#"<text x="{:.0}" y="{text:.0}" text-anchor="end">{server}</text>
<rect x="{LEFT}" y="{y:.0}" width="{length:.1}" height="{BAR}" class="{class}"/>
<text x="{:.1}" y="{text:.0}">{us:.1} µs</text>"#,
                    LEFT - 8.0,
                    LEFT + length + 6.0,
                );
                y += ROW;
            }
        }
        // Read on white and on dark pages.
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0}" role="img">
<title>CPU time per proxied request</title>
<style>
text {{ font: 13px system-ui, sans-serif; fill: #57606a }} .h {{ font-weight: 600 }}
.ours {{ fill: #2f6fdb }} .theirs {{ fill: #9aa4b0 }}
@media (prefers-color-scheme: dark) {{ text {{ fill: #c9d1d9 }} }}
</style>
{drawn}</svg>
"#,
            height = y + 8.0
        )
    }
}
