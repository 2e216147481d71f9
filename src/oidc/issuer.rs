//! Which issuer names are ours to believe: one, or a template with a list of tenants.
//! Names are compared as strings, never normalised (AR-07, ID-01).

use url::{Host, Url};

use super::error::ConfigFault;

/// The part of a template that a tenant's id takes the place of.
const PLACEHOLDER: &str = "{tenantid}";

/// The issuer, as configured.
#[derive(Clone, Debug)]
pub(super) struct Issuer {
    name: String,
    template: Option<Template>,
    /// The issuer itself is plain http on this machine, so its endpoints may be.
    loopback_http: bool,
}

#[derive(Clone, Debug)]
struct Template {
    text: String,
    tenants: Vec<String>,
}

impl Issuer {
    /// `name` is an https URL, or http on loopback; `template` needs tenants.
    pub(super) fn new(
        name: &str,
        template: Option<&str>,
        tenants: &[String],
    ) -> Result<Self, ConfigFault> {
        let url = Url::parse(name).map_err(|_| ConfigFault::Issuer)?;
        let loopback_http = url.scheme() == "http" && is_loopback(&url);
        let plain = url.query().is_none() && url.fragment().is_none() && has_no_user(&url);
        if !(url.scheme() == "https" || loopback_http) || !plain {
            return Err(ConfigFault::Issuer);
        }
        let template = template.map(|text| {
            let usable = text.contains(PLACEHOLDER) && !tenants.is_empty();
            let tenants = tenants.to_vec();
            usable.then(|| Template { text: text.to_owned(), tenants })
        });
        let template = match template {
            Some(None) => return Err(ConfigFault::IssuerTemplate),
            Some(template) => template,
            None => None,
        };
        Ok(Self { name: name.to_owned(), template, loopback_http })
    }

    /// Where the metadata document is by default (OpenID Connect Discovery 1.0 §4).
    pub(super) fn discovery_url(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.name.trim_end_matches('/'))
    }

    /// Whether a metadata document may carry this `issuer`.
    pub(super) fn is_in_metadata(&self, name: &str) -> bool {
        name == self.name || self.template.as_ref().is_some_and(|template| name == template.text)
    }

    /// Whether a token or an authorization response may come from this `iss`; `tenant` is the token's `tid`.
    pub(super) fn is(&self, iss: &str, tenant: Option<&str>) -> bool {
        match &self.template {
            None => iss == self.name,
            Some(template) => template
                .tenants
                .iter()
                .filter(|allowed| tenant.is_none_or(|tenant| tenant == *allowed))
                .any(|allowed| iss == template.text.replace(PLACEHOLDER, allowed)),
        }
    }

    /// Parses an endpoint's URL: https, or http on loopback when the issuer is that too; no user info, no fragment.
    pub(super) fn endpoint(&self, url: &str) -> Option<Url> {
        let url = Url::parse(url).ok()?;
        let safe = match url.scheme() {
            "https" => true,
            "http" => self.loopback_http && is_loopback(&url),
            _ => false,
        };
        (safe && url.has_host() && has_no_user(&url) && url.fragment().is_none()).then_some(url)
    }
}

fn has_no_user(url: &Url) -> bool {
    url.username().is_empty() && url.password().is_none()
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    // proves: AR-07
    #[rstest]
    #[case::https("https://op.example.com/a", true)]
    #[case::loopback("http://127.0.0.1:9000", true)]
    #[case::loopback_v6("http://[::1]:9000", true)]
    #[case::localhost("http://localhost:9000", true)]
    #[case::plain_http("http://op.example.com", false)]
    #[case::looks_like_loopback("http://127.0.0.1.example.com", false)]
    #[case::looks_like_localhost("http://localhost.example.com", false)]
    #[case::query("https://op.example.com?a=b", false)]
    #[case::fragment("https://op.example.com#a", false)]
    #[case::user("https://me@op.example.com", false)]
    #[case::other_scheme("file:///etc/passwd", false)]
    #[case::relative("op.example.com", false)]
    fn an_issuer_is_an_https_url_or_on_loopback(#[case] name: &str, #[case] accepted: bool) {
        assert_eq!(Issuer::new(name, None, &[]).is_ok(), accepted);
    }

    // proves: AR-08
    #[rstest]
    #[case::https("https://op.example.com", "https://other.example.com/token?p=1", true)]
    #[case::downgrade("https://op.example.com", "http://op.example.com/token", false)]
    #[case::to_loopback("https://op.example.com", "http://127.0.0.1/token", false)]
    #[case::loopback("http://localhost:9000", "http://127.0.0.1:9001/token", true)]
    #[case::away("http://localhost:9000", "http://op.example.com/token", false)]
    #[case::file("http://localhost:9000", "file:///etc/passwd", false)]
    #[case::script("https://op.example.com", "javascript:alert(1)", false)]
    #[case::user("https://op.example.com", "https://a:b@op.example.com/token", false)]
    #[case::fragment("https://op.example.com", "https://op.example.com/token#x", false)]
    fn endpoints_are_https_unless_all_is_on_loopback(
        #[case] issuer: &str,
        #[case] endpoint: &str,
        #[case] accepted: bool,
    ) {
        let issuer = Issuer::new(issuer, None, &[]).unwrap();
        assert_eq!(issuer.endpoint(endpoint).is_some(), accepted);
    }

    // proves: ID-01
    #[test]
    fn a_template_stands_for_its_tenants_only() {
        let template = "https://op.example.com/{tenantid}/v2.0";
        let tenants = ["t1".to_owned(), "t2".to_owned()];
        let issuer =
            Issuer::new("https://op.example.com/common/v2.0", Some(template), &tenants).unwrap();
        assert!(issuer.is_in_metadata(template));
        assert!(issuer.is("https://op.example.com/t1/v2.0", Some("t1")));
        assert!(issuer.is("https://op.example.com/t2/v2.0", None));
        for (iss, tid) in [
            ("https://op.example.com/t1/v2.0", Some("t2")),
            ("https://op.example.com/t3/v2.0", Some("t3")),
            ("https://op.example.com/{tenantid}/v2.0", None),
            ("https://op.example.com/common/v2.0", None),
            ("https://op.example.com/t1/v2.0/", None),
        ] {
            assert!(!issuer.is(iss, tid), "{iss} {tid:?}");
        }
        assert_eq!(
            Issuer::new("https://op.example.com", Some(template), &[]).unwrap_err(),
            ConfigFault::IssuerTemplate
        );
    }
}
