//! The control socket: what those who run the process may change while it runs. A Unix socket that only the process's own
//! user can open, so that no network and no browser reaches it; the admin listener stays read-only. Speaks JSON over HTTP,
//! for `curl --unix-socket` and for the command line. Never answers with a name of a user or a session that was not asked for.

mod end_sessions;

use std::future::ready;
use std::path::Path;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::error::InternalError;
use actix_web::{App as ActixApp, HttpRequest, HttpResponse, HttpServer, web};
use tokio::net::UnixStream;

use super::app::App;
use super::live::Live;
use crate::telemetry::{Metrics, Refusals};

pub use end_sessions::{EndSessions, EndedIn, Selection};

use super::socket::{Socket, SocketError};
use end_sessions::Refusal;

/// Nobody but the user of this process opens the socket.
const OWN_USER: u32 = 0o600;

/// Largest request, bytes.
const LARGEST: usize = 16 * 1024;

/// Who is at the other end of a connection, by the operating system's word.
#[derive(Clone, Copy)]
struct Peer {
    uid: u32,
}

/// The running listener; the socket goes with it.
pub struct Control {
    handle: ServerHandle,
    _socket: Socket,
}

impl Control {
    /// Stops answering, and removes the socket.
    pub async fn stop(self) {
        self.handle.stop(false).await;
    }
}

/// Starts the listener at `path` in the background.
///
/// # Errors
/// The socket cannot be made there, or is another process's.
pub fn start(
    path: &Path,
    live: Live,
    (metrics, refusals): (Metrics, Refusals),
) -> Result<Control, SocketError> {
    let (socket, listener) = Socket::bind(path, OWN_USER)?;
    let server = HttpServer::new(move || {
        let (live, metrics) = (live.clone(), metrics.clone());
        let refusals = refusals.clone();
        let why = move |id: web::Path<String>| ready(refusal(&id, &refusals));
        let end = move |request: HttpRequest, asked: web::Json<EndSessions>| {
            let (live, metrics) = (live.clone(), metrics.clone());
            async move { end_sessions(&request, &asked, &live.load().apps, &metrics).await }
        };
        ActixApp::new()
            .app_data(web::JsonConfig::default().limit(LARGEST).error_handler(|error, _| {
                // Not the text of the request: a person reads what is wrong with it, and where.
                let answer = said(&error.to_string(), HttpResponse::BadRequest());
                InternalError::from_response(error, answer).into()
            }))
            .service(web::resource("/sessions/end").post(end))
            .service(web::resource("/refusals/{id}").get(why))
            .default_service(web::to(|| async {
                said(
                    "there are POST /sessions/end and GET /refusals/REQUEST_ID",
                    HttpResponse::NotFound(),
                )
            }))
    })
    .workers(1)
    .disable_signals()
    .on_connect(|stream, data| {
        let stream = stream.downcast_ref::<UnixStream>();
        if let Some(peer) = stream.and_then(|stream| stream.peer_cred().ok()) {
            data.insert(Peer { uid: peer.uid() });
        }
    })
    .listen_uds(listener)
    .map_err(|reason| SocketError::Io { path: path.display().to_string(), reason })?
    .run();
    let handle = server.handle();
    tokio::spawn(server);
    Ok(Control { handle, _socket: socket })
}

/// `POST /sessions/end`
async fn end_sessions(
    request: &HttpRequest,
    asked: &EndSessions,
    apps: &[Arc<App>],
    metrics: &Metrics,
) -> HttpResponse {
    let by = request.conn_data::<Peer>().map(|peer| peer.uid);
    match end_sessions::end(asked, apps, by, metrics).await {
        Ok(ended) => HttpResponse::Ok().json(serde_json::json!({ "ended": ended })),
        Err(refusal @ Refusal::UnknownApp { .. }) => {
            said(&refusal.to_string(), HttpResponse::NotFound())
        }
        Err(refusal) => said(&refusal.to_string(), HttpResponse::BadRequest()),
    }
}

/// `GET /refusals/{id}`
fn refusal(id: &str, refusals: &Refusals) -> HttpResponse {
    match refusals.find(id) {
        Some(refused) => HttpResponse::Ok().json(serde_json::json!({ "refused": refused })),
        None => said(
            "this process remembers no refusal of that request: it keeps the latest thousand",
            HttpResponse::NotFound(),
        ),
    }
}

fn said(error: &str, mut answer: actix_web::HttpResponseBuilder) -> HttpResponse {
    answer.json(serde_json::json!({ "error": error }))
}
