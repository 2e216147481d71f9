//! What may come only once, whichever instance it comes to: states of logins, ids of logout tokens.

use std::time::Duration;

use super::link::{Link, StoreError};

/// The claims of one kind; clones share the connection.
#[derive(Clone)]
pub struct Claims {
    link: Link,
    prefix: String,
}

impl Claims {
    pub(super) fn new(link: Link, prefix: String) -> Self {
        Self { link, prefix }
    }

    /// Claims `digest` for `life`; whether nobody had.
    ///
    /// # Errors
    /// The store cannot be reached: it is not known.
    pub async fn claim(&self, digest: &[u8; 16], life: Duration) -> Result<bool, StoreError> {
        let mut asked = redis::pipe();
        let name = base64_simd::URL_SAFE_NO_PAD.encode_to_string(digest);
        let life = u64::try_from(life.as_millis()).unwrap_or(u64::MAX).max(1);
        let key = format!("{}:{name}", self.prefix);
        asked.cmd("SET").arg(key).arg(1).arg("NX").arg("PX").arg(life);
        // Sent twice, the second would find the first.
        let (set,): (Option<String>,) = self.link.ask_once(&asked).await?;
        Ok(set.is_some())
    }
}
