//! Several providers of one app: what may be written, and what is noted where.

use rstest::rstest;

use super::tests::{LEAST, load_text, problems};

/// Begins at line 6, where [`with`] puts it.
const BOTH: &str = r#"[[providers]]
id = "home"
issuer = "https://login.example.com"
client_id = "web"
client_secret_env = "CLIENT_SECRET"
[[providers]]
id = "partner"
issuer = "https://partner.example"
client_id = "web"
client_secret = "another-secret-of-this-client"
scopes = ["openid", "offline_access"]
"#;

/// [`LEAST`] with `providers` instead of its one.
fn with(providers: &str) -> String {
    let (before, rest) = LEAST.split_once("[provider]").unwrap();
    let (_, after) = rest.split_once("[session]").unwrap();
    format!("{before}[session]{after}{providers}")
}

#[test]
fn each_has_its_own_settings_and_its_own_place_for_answers() {
    let config = load_text(&with(BOTH), &[], &[]).unwrap();
    let app = &config.apps[0];
    let [home, partner] = app.providers.as_slice() else { panic!("two providers") };
    assert_eq!((home.id.as_str(), partner.id.as_str()), ("home", "partner"));
    assert_eq!((home.scopes.len(), partner.scopes.len()), (1, 2));
    assert_eq!(app.url_for("/callback", home), "https://app.example.com/callback/home");
    assert_eq!(app.url_for("/callback", partner), "https://app.example.com/callback/partner");
    assert_eq!(app.one_secret_for(), None);

    let (first, _) = BOTH.split_at(BOTH.rfind("[[providers]]").unwrap());
    for (text, id) in [(with(first), "home"), (LEAST.to_owned(), "default")] {
        let config = load_text(&text, &[], &[]).unwrap();
        let [only] = config.apps[0].providers.as_slice() else { panic!("one provider") };
        assert_eq!(only.id, id);
        assert_eq!(
            config.apps[0].url_for("/callback", only),
            "https://app.example.com/callback",
            "a single one keeps its place"
        );
    }
}

#[test]
fn an_entry_of_several_apps_has_them_too_and_variables_reach_into_the_list() {
    let both = BOTH.replace("[[providers]]", "[[apps.providers]]");
    let keys = "session = { keys = [{ id = \"a\", env = \"COOKIE_KEY\" }] }";
    let text = format!("[[apps]]\npublic_url = \"https://app.example.com\"\n{keys}\n{both}");
    let env = [("CLOAKROOM__APPS__0__PROVIDERS__1__CLIENT_ID", "from-outside")];
    let config = load_text(&text, &env, &[]).unwrap();
    assert_eq!(config.apps[0].providers[1].client_id, "from-outside");
}

// proves: CA-07
#[test]
fn one_secret_at_two_servers_is_noticed_wherever_it_comes_from() {
    let text = with(BOTH).replace("another-secret-of-this-client", "secret-of-the-client");
    let config = load_text(&text, &[], &[]).unwrap();
    assert_eq!(config.apps[0].one_secret_for(), Some(("home", "partner")));
}

#[rstest]
#[case::two_names(
    "id = \"partner\"",
    "id = \"home\"",
    "12:6 providers.1.id: another provider of this app has this id"
)]
#[case::no_name("id = \"partner\"\n", "", "providers.1.id: is missing")]
#[case::bad_name("id = \"partner\"", "id = \"Part/ner\"", "12:6 providers.1.id: not a provider id")]
#[case::name_begins_badly(
    "id = \"partner\"",
    "id = \"-p\"",
    "12:6 providers.1.id: not a provider id"
)]
#[case::one_client(
    "https://partner.example",
    "https://login.example.com",
    "14:13 providers.1.client_id: is the same client at the same issuer"
)]
#[case::unknown_key("scopes =", "scope =", "providers.1.scope: unknown key")]
#[case::a_bad_value("openid\", \"offline_access", "profile", "providers.1.scopes: lacks openid")]
#[case::beside_the_one(
    "[[providers]]\nid = \"home\"",
    "[provider]\nissuer = \"https://login.example.com\"\n[[providers]]\nid = \"home\"",
    "provider: stands beside [[providers]]"
)]
fn what_cannot_be_is_noted_at_its_place(
    #[case] from: &str,
    #[case] to: &str,
    #[case] expected: &str,
) {
    assert!(BOTH.contains(from));
    let found = problems(&with(&BOTH.replacen(from, to, 1)), &[], &[]);
    let [only] = found.as_slice() else { panic!("one problem: {found:?}") };
    assert!(only.contains(expected), "{only}");
}

#[test]
fn none_and_too_many_are_noted() {
    let none = problems(&with("").replacen("[session]", "providers = []\n[session]", 1), &[], &[]);
    assert!(none.iter().any(|line| line.contains("providers: ")), "{none:?}");
    let entry = |n: usize| {
        format!(
            "[[providers]]\nid = \"p{n}\"\nissuer = \"https://p{n}.example\"\nclient_id = \"w\"\n\
             client_secret = \"s{n}\"\n"
        )
    };
    let many = (0..17).map(entry).collect::<Vec<_>>().concat();
    let found = problems(&with(&many), &[], &[]);
    assert!(found.iter().any(|line| line.contains("providers: are too many")), "{found:?}");
}

#[test]
fn several_apps_have_their_providers_inside() {
    let apps = "[[apps]]\npublic_url = \"https://a.example.com\"\n";
    let found = problems(&format!("{BOTH}{apps}"), &[], &[]);
    assert!(
        found.iter().any(|line| line.contains("providers: stands beside [[apps]]")),
        "{found:?}"
    );
}
