"""Delivery reports as mail servers write them (RFC 3464), about letters of ours, for tests."""

from __future__ import annotations

from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid, parseaddr


def report(
    letter: EmailMessage, at: datetime, action: str = "failed", status: str = "5.1.1", *, whole: bool = True
) -> bytes:
    """What a mail server says became of a letter; with the whole letter, or its headers only."""
    returned = letter.as_bytes(policy=SMTP)
    written = format_datetime(at)
    head = f"""\
From: MAILER-DAEMON@mail.example (Mail Delivery System)
To: {parseaddr(str(letter["From"]))[1]}
Subject: Undelivered Mail Returned to Sender
Date: {written}
Message-ID: {make_msgid(domain="mail.example")}
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="==of-the-report=="

--==of-the-report==
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you what became of your message.

--==of-the-report==
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.example
Arrival-Date: {written}

Final-Recipient: rfc822; {parseaddr(str(letter["To"]))[1]}
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 5.1.1 no such user

--==of-the-report==
Content-Type: {"message/rfc822" if whole else "text/rfc822-headers"}

"""
    content = returned if whole else returned.partition(b"\r\n\r\n")[0] + b"\r\n"
    return head.replace("\n", "\r\n").encode() + content + b"\r\n--==of-the-report==--\r\n"
