//! What outlives a request on the server: the deny list. Never holds a token in the clear.

mod deny;

pub use deny::DenyList;
