//! The web part around a [`TestApp`], and a client that sends exactly what it is told.

use std::sync::Arc;
use std::time::Duration;

use paperround::{app::App, http};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::app::TestApp;

/// How long an answer may take on a loaded machine.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// A running web part.
pub(crate) struct Web {
    pub(crate) port: u16,
    pub(crate) app: Arc<App>,
    current: tokio::sync::watch::Sender<Arc<App>>,
    stop: CancellationToken,
}

impl Drop for Web {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Web {
    /// Serves what the configuration of `app` says now, with the store that its days share.
    pub(crate) async fn start(app: &mut TestApp) -> Self {
        Self::around(app.build().await)
    }

    pub(crate) fn around(app: App) -> Self {
        let built = Arc::new(app);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        listener.set_nonblocking(true).expect("a listener can be asked");
        let port = listener.local_addr().expect("it is bound").port();
        let current = tokio::sync::watch::Sender::new(Arc::clone(&built));
        let stop = CancellationToken::new();
        tokio::spawn(http::serve(listener, current.subscribe(), stop.clone()));
        Self {
            port,
            app: built,
            current,
            stop,
        }
    }

    /// A reload: the configuration of `app` as it is now.
    pub(crate) async fn reload(&mut self, app: &mut TestApp) {
        self.app = Arc::new(app.build().await);
        self.current.send_replace(Arc::clone(&self.app));
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1"), "", "").await
    }

    /// A form as a browser or a mail program sends it.
    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
        self.ask(&format!("POST {path} HTTP/1.1"), kind, body).await
    }

    pub(crate) async fn ask(&self, line: &str, headers: &str, body: &str) -> Answer {
        let request = format!(
            "{line}\r\nHost: papers.example.org\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let exchange = async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await?;
            Ok::<_, std::io::Error>(bytes)
        };
        let bytes = tokio::time::timeout(ANSWER_MAX, exchange)
            .await
            .expect("an answer comes")
            .expect("the connection stands");
        Answer::read(&bytes)
    }
}

/// An answer as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Without `Date`, which is another one each second.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        Self {
            status: status.unwrap_or_else(|| panic!("no answer: {head:?}")),
            headers: lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .filter(|(name, _)| name != "date")
                .collect(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(other, _)| other == name)
            .map_or("", |(_, value)| value)
    }
}
