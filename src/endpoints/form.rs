//! Reads a small form that somebody posts to an own endpoint: of that media type and nothing else, bounded in size and time.

use std::time::Duration;

use actix_web::dev::Payload;
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::call::Call;
use crate::secret::Secret;

/// Time for the body to arrive.
const ARRIVES: Duration = Duration::from_secs(10);

/// The fields in order, decoded; `None` for another media type, more than `largest` bytes, or a body that does not come.
pub async fn read(
    call: &Call<'_>,
    body: Payload,
    largest: usize,
) -> Option<Vec<(String, Secret<String>)>> {
    let media_type = call.request.fields().text("content-type")?;
    let essence = media_type.split(';').next()?.trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return None;
    }
    let form = timeout(ARRIVES, bytes(body, largest)).await.ok().flatten()?;
    let fields = form_urlencoded::parse(form.expose());
    Some(fields.map(|(name, value)| (name.into_owned(), Secret::new(value.into_owned()))).collect())
}

async fn bytes(mut body: Payload, largest: usize) -> Option<Secret<Vec<u8>>> {
    let mut form = Vec::new();
    while let Some(chunk) = body.next().await {
        form.extend_from_slice(&chunk.ok()?);
        if form.len() > largest {
            return None;
        }
    }
    Some(Secret::new(form))
}
