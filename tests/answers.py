"""Files of a bank, written by hand after ISO's schemas of pain.002 and camt.054, for tests."""

from __future__ import annotations

from datetime import date

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:"


def pain_002(*transactions: str, message: str = "BANK-1", schema: str = "pain.002.001.10", group: str = "") -> bytes:
    """A status report about one order; each transaction is a `TxInfAndSts`."""
    original = f"<OrgnlMsgId>M{'0' * 32}</OrgnlMsgId><OrgnlMsgNmId>pain.001.001.09</OrgnlMsgNmId>"
    payment = ""
    if transactions:
        payment = f"<OrgnlPmtInfAndSts><OrgnlPmtInfId>P1</OrgnlPmtInfId>{''.join(transactions)}</OrgnlPmtInfAndSts>"
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="{NAMESPACE}{schema}">
  <CstmrPmtStsRpt>
    <GrpHdr>
      <MsgId>{message}</MsgId>
      <CreDtTm>2027-03-02T08:15:00+02:00</CreDtTm>
      <InitgPty><Id><OrgId><AnyBIC>BANKLV2X</AnyBIC></OrgId></Id></InitgPty>
    </GrpHdr>
    {group or f"<OrgnlGrpInfAndSts>{original}<GrpSts>ACTC</GrpSts></OrgnlGrpInfAndSts>"}
    {payment}
  </CstmrPmtStsRpt>
</Document>""".encode()


def transaction(reference: str, status: str = "RJCT", reason: str = "<Cd>AC04</Cd>", amount: str = "") -> str:
    """What a status report says about one transaction."""
    told = f"<StsRsnInf><Rsn>{reason}</Rsn><AddtlInf>account closed</AddtlInf></StsRsnInf>" if reason else ""
    original = f'<OrgnlTxRef><Amt><InstdAmt Ccy="EUR">{amount}</InstdAmt></Amt></OrgnlTxRef>' if amount else ""
    return (
        f"<TxInfAndSts><OrgnlInstrId>I1</OrgnlInstrId><OrgnlEndToEndId>{reference}</OrgnlEndToEndId>"
        f"<TxSts>{status}</TxSts>{told}{original}</TxInfAndSts>"
    )


def camt_054(*entries: str, message: str = "BANK-2") -> bytes:
    """A notification of what was booked; each entry is an `Ntry`."""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="{NAMESPACE}camt.054.001.08">
  <BkToCstmrDbtCdtNtfctn>
    <GrpHdr><MsgId>{message}</MsgId><CreDtTm>2027-03-03T06:00:00+02:00</CreDtTm></GrpHdr>
    <Ntfctn>
      <Id>N1</Id>
      <CreDtTm>2027-03-03T06:00:00+02:00</CreDtTm>
      <Acct><Id><IBAN>LV80BANK0000435195001</IBAN></Id><Ccy>EUR</Ccy></Acct>
      {"".join(entries)}
    </Ntfctn>
  </BkToCstmrDbtCdtNtfctn>
</Document>""".encode()


def entry(
    reference: str,
    amount: str = "1000.00",
    *,
    booked: date = date(2027, 3, 1),
    side: str = "DBIT",
    status: str = "BOOK",
    returned: str = "",
    reversal: bool = False,
    currency: str = "EUR",
) -> str:
    """One booking with one transaction; `returned` is the reason code of a return."""
    back = f"<RtrInf><Rsn><Cd>{returned}</Cd></Rsn></RtrInf>" if returned else ""
    return f"""<Ntry>
        <Amt Ccy="{currency}">{amount}</Amt>
        <CdtDbtInd>{side}</CdtDbtInd>
        {"<RvslInd>true</RvslInd>" if reversal else ""}
        <Sts><Cd>{status}</Cd></Sts>
        <BookgDt><Dt>{booked.isoformat()}</Dt></BookgDt>
        <ValDt><Dt>{booked.isoformat()}</Dt></ValDt>
        <AcctSvcrRef>BK-7781</AcctSvcrRef>
        <BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>ICDT</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn></BkTxCd>
        <NtryDtls><TxDtls>
          <Refs><EndToEndId>{reference}</EndToEndId></Refs>
          <Amt Ccy="{currency}">{amount}</Amt>
          <CdtDbtInd>{side}</CdtDbtInd>
          {back}
        </TxDtls></NtryDtls>
      </Ntry>"""
