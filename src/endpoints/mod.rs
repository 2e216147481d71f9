//! What the SPA and the authorization server call: one handler per file, each reads like a list.
//! A handler gets its parts as arguments, never a whole App.

mod authorization_response;
pub mod backchannel_logout;
mod call;
pub mod callback;
pub mod callback_post;
pub mod client_jwks;
pub mod events;
mod first_record;
mod form;
mod keeping;
pub mod logged_out;
pub mod login;
mod login_failure;
mod login_flow;
pub mod logout;
pub mod logout_continue;
mod loop_watch;
pub mod own_sessions;
pub mod refresh;
pub mod session;
mod sessions;

pub use call::{Call, Seen, peer, wants_page};
pub use keeping::Keeping;
pub use login_flow::LoginFlow;
pub use loop_watch::LoopWatch;
pub use sessions::{NoSession, Sessions};
