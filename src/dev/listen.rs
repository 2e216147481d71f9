//! Binds the dev stack's two sockets and runs its servers on a thread of their own, so that they stop whenever the
//! stack is dropped, whatever becomes of the caller's runtime. Loopback only; other Hosts are refused (DNS rebinding).

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{Server, ServerHandle, ServiceRequest, ServiceResponse};
use actix_web::http::header::{HOST, HeaderValue};
use actix_web::middleware::{DefaultHeaders, Next, from_fn};
use actix_web::{App, Error, HttpResponse, HttpServer, web};
use anyhow::{Context as _, ensure};
use tokio::sync::oneshot;

use super::api::{self, Api};
use super::issuer::{self, Issuer};

/// Bytes of a body that a handler of the authorization server reads; the demo API streams.
const BODY_LIMIT: usize = 64 * 1024;

/// A bound loopback socket.
pub struct Listener {
    socket: TcpListener,
    /// With the port that was really taken.
    pub address: SocketAddr,
}

impl Listener {
    /// Binds `address`.
    ///
    /// # Errors
    /// Not loopback, or in use.
    pub fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        ensure!(
            address.ip().is_loopback(),
            "the dev stack listens on loopback only, not on {address}"
        );
        let socket =
            TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }
}

/// The running servers; stops them when dropped.
#[derive(Debug)]
pub struct Running {
    handles: Vec<ServerHandle>,
}

impl Running {
    /// Stops the servers and waits for it.
    pub async fn stop(&self) {
        for handle in &self.handles {
            handle.stop(false).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for handle in &self.handles {
            // The command is sent by the call; the future would only wait for its completion.
            drop(handle.stop(false));
        }
    }
}

/// Runs both servers on a new thread and returns once they accept.
///
/// # Errors
/// No thread, or a socket that cannot be listened on.
pub async fn run(
    issuer_listener: Listener,
    issuer: Arc<Issuer>,
    api_listener: Listener,
    api: Arc<Api>,
) -> anyhow::Result<Running> {
    let (report, started) = oneshot::channel();
    std::thread::Builder::new().name("dev-stack".to_owned()).spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let servers = serve_issuer(issuer_listener, issuer)
                .and_then(|issuer| Ok((issuer, serve_api(api_listener, api)?)));
            match servers {
                Ok((issuer, api)) => {
                    let handles = vec![issuer.handle(), api.handle()];
                    // Dropping the handles stops the servers, so a caller who has gone is no harm.
                    drop(report.send(Ok(Running { handles })));
                    let (issuer, api) = futures_util::future::join(issuer, api).await;
                    if let Err(error) = issuer.and(api) {
                        tracing::error!(%error, "the dev stack stopped");
                    }
                }
                Err(error) => drop(report.send(Err(error))),
            }
        });
    })?;
    started.await.context("the dev stack did not start")?
}

fn serve_issuer(listener: Listener, issuer: Arc<Issuer>) -> anyhow::Result<Server> {
    let hosts = web::Data::new(KnownHosts(vec![listener.address.to_string()]));
    let issuer = web::Data::from(issuer);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(issuer.clone())
            .app_data(hosts.clone())
            .app_data(web::PayloadConfig::new(BODY_LIMIT))
            .wrap(issuer::sign_on::middleware(&issuer))
            .wrap(quiet_headers())
            .wrap(from_fn(refuse_unknown_hosts))
            .configure(issuer::routes)
    });
    Ok(server.workers(1).disable_signals().listen(listener.socket)?.run())
}

fn serve_api(listener: Listener, api: Arc<Api>) -> anyhow::Result<Server> {
    let port = listener.address.port();
    let hosts = vec![listener.address.to_string(), format!("localhost:{port}")];
    let hosts = web::Data::new(KnownHosts(hosts));
    let api = web::Data::from(api);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(api.clone())
            .app_data(hosts.clone())
            .wrap(from_fn(refuse_unknown_hosts))
            .configure(api::routes)
    });
    Ok(server.workers(1).disable_signals().listen(listener.socket)?.run())
}

/// Nothing here may be kept by a cache, guessed at or told to other sites. `same-origin` and not `no-referrer`:
/// under the latter browsers send `Origin: null` with our own forms.
fn quiet_headers() -> DefaultHeaders {
    DefaultHeaders::new()
        .add(("Cache-Control", "no-store"))
        .add(("X-Content-Type-Options", "nosniff"))
        .add(("Referrer-Policy", "same-origin"))
}

/// The names under which a listener may be called.
struct KnownHosts(Vec<String>);

/// A page that points its own name at 127.0.0.1 (DNS rebinding) arrives with that name in `Host`.
async fn refuse_unknown_hosts(
    hosts: web::Data<KnownHosts>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let host = request.headers().get(HOST).map(HeaderValue::as_bytes);
    if hosts.0.iter().any(|known| host == Some(known.as_bytes())) {
        Ok(next.call(request).await?.map_into_left_body())
    } else {
        let refusal = HttpResponse::MisdirectedRequest().body("unknown Host");
        Ok(request.into_response(refusal).map_into_right_body())
    }
}
