//! The edge towards the browser: problem documents and pages, response headers, request ids, the client's address, how often
//! somebody may come.
//! The only module that knows status codes. Never shows a cause that came from outside.

mod auth_error;
pub mod client_ip;
mod code;
pub mod headers;
pub mod pages;
mod problem;
mod rate_limit;
mod reply;
mod request;
mod request_id;

#[cfg(test)]
mod tests;

pub use auth_error::AuthError;
pub use code::Code;
pub use problem::{ERROR_HEADER, LoginWish, Problem};
pub use rate_limit::{Rates, client_key};
pub use reply::{Passed, Reply, ReplyHead, set_cookies};
pub use request::Request;
pub use request_id::{RequestId, RequestIds};
