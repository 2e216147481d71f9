//! A developer's own dev server behind `--spa URL`: pages, assets and the hot-reload WebSocket.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::problem_code;
use crate::support::browser::Browser;
use crate::support::stack::{LINK, Setup, Stack};

/// A dev server that answers a page to every request and echoes WebSocket bytes; gives its port.
async fn dev_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket));
        }
    });
    port
}

async fn serve(mut socket: TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    if head.contains("upgrade: websocket") {
        let switch = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
                      sec-websocket-accept: yes\r\nsec-websocket-protocol: vite-hmr\r\n\r\nhello";
        socket.write_all(switch.as_bytes()).await.unwrap();
        let mut piece = [0; 1_024];
        while let Ok(length @ 1..) = socket.read(&mut piece).await {
            socket.write_all(&piece[..length]).await.unwrap();
        }
        return;
    }
    let body = format!("<script>let seen = `{}`</script>", head.replace('\r', ""));
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nset-cookie: theirs=1\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(answer.as_bytes()).await.unwrap();
}

async fn stack_with(port: u16) -> Stack {
    let more = format!("[spa]\ndev_server = \"http://127.0.0.1:{port}\"");
    Stack::start(Setup { more, ..Setup::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_come_from_the_dev_server_which_sees_no_cookie_of_ours() {
    let stack = stack_with(dev_server().await).await;
    let browser = Browser::new();
    stack.log_in(&browser, "alice").await;
    let page = browser.send("GET", &stack.url("/src/main.ts?t=1"), &LINK, "").await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.body.contains("get /src/main.ts?t=1 http/1.1"), "{}", page.body);
    assert!(!page.body.contains("cookie") && !page.body.contains("__host"), "{}", page.body);
    assert!(!page.headers.contains_key("set-cookie"));
    let csp = page.headers["content-security-policy"].to_str().unwrap();
    assert_eq!(csp, "frame-ancestors 'none'", "inline scripts of the dev server run");
    assert_eq!(
        stack.fetch(&browser, "GET", "/api/nothing").await.status,
        404,
        "the API stays ours"
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hot_reload_works_through_a_websocket_from_our_own_page_only() {
    let stack = stack_with(dev_server().await).await;
    let open = |origin: String| {
        let port = stack.port;
        async move {
            let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let head = format!(
                "GET /hmr HTTP/1.1\r\nhost: localhost:{port}\r\norigin: {origin}\r\nconnection: Upgrade\r\n\
                 upgrade: websocket\r\nsec-websocket-key: x\r\nsec-websocket-version: 13\r\n\r\n"
            );
            socket.write_all(head.as_bytes()).await.unwrap();
            socket
        }
    };
    let mut socket = open(stack.app.clone()).await;
    let mut seen = String::new();
    while !seen.contains("hello") {
        seen.push(char::from(socket.read_u8().await.unwrap()));
    }
    assert!(seen.starts_with("HTTP/1.1 101"), "{seen}");
    assert!(seen.to_lowercase().contains("sec-websocket-protocol: vite-hmr"), "{seen}");
    for word in ["ping", "pong"] {
        socket.write_all(word.as_bytes()).await.unwrap();
        let mut echo = [0; 4];
        socket.read_exact(&mut echo).await.unwrap();
        assert_eq!(&echo, word.as_bytes());
    }
    let mut foreign = open("http://evil.test".to_owned()).await;
    let mut answer = [0; 12];
    foreign.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 403");
    drop((socket, foreign));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dev_server_that_is_not_there_is_told() {
    let stack = stack_with(9).await;
    let page = Browser::new().send("GET", &stack.url("/"), &[], "").await;
    assert_eq!(
        (page.status.as_u16(), problem_code(&page).as_str()),
        (502, "dev_server_unavailable")
    );
    stack.stop().await;
}
