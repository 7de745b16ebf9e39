"""A relay on loopback for the campaign: it writes down every message that it takes, and misbehaves where it is told to.

A fault is (stage, action). Stages: connect, ehlo, starttls, auth, mail, rcpt, data, body, dot, after (the 250 is out).
Actions: a reply line; or a function that gets the connection and says with True that the dialogue is over.
"""
import hashlib, re, socket, ssl, threading, time


class Sink:
    def __init__(self, tls=None, offers=("PIPELINING", "8BITMIME", "SIZE 50000000"), listener=None):
        self.lock = threading.Lock()
        self.taken = []  # (recipient, message id, sha256, papers), in order
        self.events = []  # (stage, what) for each fault that happened
        self.auth_in_clear = 0
        self.fault = lambda stage, recipient: None
        self.tls, self.offers = tls, offers
        self.listener = listener or socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def close(self):
        self.listener.close()

    def serve(self, connection):
        try:
            self.dialogue(connection)
        except (OSError, ValueError, ssl.SSLError):
            pass
        finally:
            try:
                connection.close()
            except OSError:
                pass

    def act(self, stage, connection, recipient=""):
        """None: go on as usual. Else the dialogue is over (True), or a reply line was given instead (False)."""
        action = self.fault(stage, recipient)
        if action is None:
            return None
        with self.lock:
            self.events.append((stage, action if isinstance(action, str) else action.__name__))
        if isinstance(action, str):
            connection.sendall(action.encode() + b"\r\n")
            return False
        return action(connection) or False

    def dialogue(self, connection):
        encrypted, buffer, sender, recipient = False, b"", None, ""

        def line():
            nonlocal buffer
            while b"\n" not in buffer:
                got = connection.recv(65536)
                if not got:
                    raise ValueError
                buffer += got
            one, _, buffer = buffer.partition(b"\n")
            return one.rstrip(b"\r").decode("latin-1")

        def say(text):
            connection.sendall(text.encode() + b"\r\n")

        done = self.act("connect", connection)
        if done:
            return
        if done is None:
            say("220 sink.example.org ESMTP")
        while True:
            command = line()
            verb = command.split(" ")[0].split(":")[0].upper()
            stage = {"EHLO": "ehlo", "HELO": "ehlo", "STARTTLS": "starttls", "AUTH": "auth", "MAIL": "mail", "RCPT": "rcpt", "DATA": "data"}.get(verb)
            if verb == "AUTH" and not encrypted:
                self.auth_in_clear += 1
            if verb == "MAIL":
                sender = command
            if verb == "RCPT":
                recipient = command[command.find("<") + 1:command.find(">")]
            if stage:
                done = self.act(stage, connection, recipient)
                if done:
                    return
                if done is False:
                    continue
            if verb == "EHLO":
                offers = list(self.offers) + (["STARTTLS"] if self.tls and not encrypted else [])
                say("\r\n".join(f"250-{word}" for word in ["sink.example.org"] + offers[:-1]) + f"\r\n250 {offers[-1]}")
            elif verb == "STARTTLS" and self.tls:
                say("220 go")
                connection = self.tls.wrap_socket(connection, server_side=True)
                encrypted, buffer = True, b""
            elif verb == "AUTH":
                say("235 2.7.0 welcome")
            elif verb == "DATA":
                say("354 go")
                done = self.act("body", connection, recipient)
                if done:
                    return
                while b"\r\n.\r\n" not in buffer:
                    got = connection.recv(65536)
                    if not got:
                        return
                    buffer += got
                message, _, buffer = buffer.partition(b"\r\n.\r\n")
                message = message.replace(b"\r\n..", b"\r\n.") + b"\r\n"
                action = self.fault("dot", recipient)
                if callable(action):
                    # Whoever cuts the line here has taken the message, unless the action says otherwise.
                    if not getattr(action, "loses", False):
                        self.keep(recipient, message)
                    with self.lock:
                        self.events.append(("dot", action.__name__))
                    if action(connection):
                        return
                    say("250 2.0.0 taken")
                elif action:
                    with self.lock:
                        self.events.append(("dot", action))
                    say(action)
                else:
                    self.keep(recipient, message)
                    say("250 2.0.0 taken")
                    if self.act("after", connection, recipient):
                        return
            elif verb == "QUIT":
                say("221 bye")
                return
            else:
                say("250 2.0.0 ok")

    def keep(self, recipient, message):
        head = message.split(b"\r\n\r\n")[0].decode("latin-1")
        message_id = re.search(r"(?im)^message-id:\s*(\S+)", head).group(1)
        with self.lock:
            self.taken.append((recipient, message_id, hashlib.sha256(message).hexdigest(), papers(message)))


def papers(message):
    import email, email.policy
    parsed = email.message_from_bytes(message, policy=email.policy.default)
    text = parsed.get_body(preferencelist=("plain",)).get_content()
    return frozenset(re.findall(r"arxiv\.org/abs/(\d{4}\.\d{4,5})", text))


def close(connection):
    connection.shutdown(socket.SHUT_RDWR)
    return True


def reset(connection):
    import struct
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    return True


def silence(connection):
    connection.settimeout(60)
    try:
        while connection.recv(65536):
            pass
    except OSError:
        pass
    return True


def trickle(connection):
    for byte in b"250-" + b"x" * 40:
        connection.sendall(bytes([byte]))
        time.sleep(0.25)
    return True


def endless(connection):
    try:
        for _ in range(2000):
            connection.sendall(b"250-" + b"x" * 5000 + b"\r\n")
    except OSError:
        pass
    return True


def garbage(connection):
    connection.sendall(b"\xff\xfe\x00 what?\r\n999 no\r\n")
    return True
