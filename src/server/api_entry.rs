//! Who may call a route: the guard's rules, by what kind of call it is, before anything else of it is looked at.

use super::app::App;
use super::routes::{Refused, refused};
use crate::edge::{Code, Problem};
use crate::endpoints::Call;
use crate::proxy::{Handshake, Route, asks_for_websocket};

/// Refuses a caller who may not be here, and reads a WebSocket's handshake. `Upgrade: websocket` alone makes the server
/// read raw bytes to the end of the connection: it is an error unless all of it is there.
pub fn guard(call: &Call<'_>, app: &App, route: &Route) -> Result<Option<Handshake>, Refused> {
    let config = route.config();
    if asks_for_websocket(call.request) {
        if !config.websocket {
            return Err(refused(Problem::new(Code::UpgradeUnsupported)));
        }
        app.guard.websocket(&call.facts).map_err(|refusal| refused(refusal.into()))?;
        let handshake = Handshake::read(call.request);
        return handshake.map(Some).ok_or_else(|| refused(Problem::new(Code::BadHandshake)));
    }
    let header_free = config.header_free && matches!(call.facts.method, "GET" | "HEAD");
    if header_free {
        app.guard.header_free_route(&call.facts)
    } else {
        app.guard.header_route(&call.facts)
    }
    .and_then(|()| app.guard.fetch_dest(&call.facts, &config.fetch_dest))
    .map_err(|refusal| refused(refusal.into()))?;
    Ok(None)
}
