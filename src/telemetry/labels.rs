//! The labels of the metrics: closed lists, and names that the configuration gives. None comes from a request's text.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};

/// How a login ended.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelValue)]
pub enum LoginResult {
    Started,
    Succeeded,
    Failed,
}

/// How a refresh ended.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelValue)]
pub enum RefreshResult {
    Succeeded,
    /// Another instance had done it.
    Shared,
    /// The authorization server was not asked: it has failed too often just before.
    HeldBack,
    /// The authorization server does not give a token for an API; the session goes on.
    ApiRefused,
    Unavailable,
    Ended,
}

/// How a revocation ended.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelValue)]
pub enum RevocationResult {
    Done,
    GivenUp,
}

/// What became of the wish for a token for an API.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelValue)]
pub enum ApiTokenResult {
    Ok,
    /// The login's access token is not active any more.
    Inactive,
    Refused,
    Unavailable,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct ApiTokenLabels {
    pub(super) result: ApiTokenResult,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct RevocationLabels {
    pub(super) result: RevocationResult,
}

/// What became of a logout token.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelValue)]
pub enum BackchannelResult {
    Ended,
    Repeated,
    Refused,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct BackchannelLabels {
    pub(super) result: BackchannelResult,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct LoginLabels {
    pub(super) result: LoginResult,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct RefreshLabels {
    pub(super) result: RefreshResult,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct RefusalLabels {
    pub(super) code: &'static str,
}

/// Why something that was open was closed.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct CauseLabels {
    pub(super) cause: &'static str,
}

/// Whose sessions operators have ended.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct WhomLabels {
    pub(super) whom: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct RequestLabels {
    pub(super) status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct AppLabels {
    pub(super) app: String,
}

/// A provider by its configured id.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct ProviderLabels {
    pub(super) app: String,
    pub(super) provider: String,
}

/// A cookie key by its configured id.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct KeyLabels {
    pub(super) app: String,
    pub(super) key: String,
}

/// What became of an attempt to read the configuration again.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelValue)]
pub enum ReloadResult {
    Applied,
    Unchanged,
    Refused,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct ReloadLabels {
    pub(super) result: ReloadResult,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct AddressLabels {
    pub(super) upstream: String,
    pub(super) address: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct UpstreamLabels {
    pub(super) upstream: String,
}

/// Why a session ended here.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelValue)]
pub enum SessionEnd {
    Logout,
    /// Another login in the same browser.
    Replaced,
    /// The user has ended it from another one.
    ByUser,
    /// The authorization server says that the grant is gone.
    GrantGone,
    /// Its new tokens do not fit.
    TooLarge,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct EndLabels {
    pub(super) cause: SessionEnd,
}

/// How an upstream answered a call: the class of the status, or not at all.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelValue)]
pub enum Answered {
    Good,
    Redirect,
    ClientError,
    ServerError,
    /// No answer, or none that could be used.
    Failed,
}

impl Answered {
    /// Every one, in the order of [`Self::index`].
    pub const ALL: [Self; 5] =
        [Self::Good, Self::Redirect, Self::ClientError, Self::ServerError, Self::Failed];

    /// The class of a status.
    pub fn of(status: u16) -> Self {
        match status {
            500.. => Self::ServerError,
            400..500 => Self::ClientError,
            300..400 => Self::Redirect,
            _ => Self::Good,
        }
    }

    /// Its place in [`Self::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct RouteLabels {
    pub(super) app: String,
    pub(super) route: String,
    pub(super) answered: Answered,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct BuildLabels {
    pub(super) version: &'static str,
}
