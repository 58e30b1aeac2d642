CREATE SCHEMA clinic;
SET search_path = clinic;

CREATE TABLE doctors (id integer PRIMARY KEY, name text NOT NULL, license varchar(20));
CREATE TABLE patients (
    id integer PRIMARY KEY, personal_code varchar(12) UNIQUE, first_name varchar(60) NOT NULL, last_name varchar(60) NOT NULL,
    email varchar(120), phone varchar(20), born_on date, address text, guardian_id integer REFERENCES patients,
    restricted text
);
CREATE TABLE visits (
    id integer PRIMARY KEY, patient_id integer NOT NULL REFERENCES patients, doctor_id integer NOT NULL REFERENCES doctors,
    doctor_name text, held_on date NOT NULL, complaint text, restricted text
);
CREATE TABLE diagnoses (
    id integer PRIMARY KEY, visit_id integer NOT NULL REFERENCES visits, code varchar(8) NOT NULL, note text
);
CREATE TABLE images (
    id integer PRIMARY KEY, visit_id integer NOT NULL REFERENCES visits, path text NOT NULL, taken_on date NOT NULL
);
CREATE TABLE prescriptions (
    id integer PRIMARY KEY, visit_id integer NOT NULL REFERENCES visits, medicine text NOT NULL, note text
);
CREATE TABLE treatment_plans (
    id integer PRIMARY KEY, patient_id integer NOT NULL REFERENCES patients, made_on date, summary text
);
CREATE TABLE plan_steps (
    plan_id integer NOT NULL REFERENCES treatment_plans, number integer NOT NULL, tooth varchar(4), step_text text,
    PRIMARY KEY (plan_id, number)
);
CREATE TABLE invoices (
    id integer PRIMARY KEY, patient_id integer NOT NULL REFERENCES patients, number varchar(20) NOT NULL UNIQUE,
    issued_on date NOT NULL, buyer text NOT NULL, buyer_address text, total numeric(10, 2) NOT NULL
);
CREATE TABLE invoice_lines (
    invoice_id integer NOT NULL REFERENCES invoices, number integer NOT NULL, what text, amount numeric(10, 2),
    PRIMARY KEY (invoice_id, number)
);
CREATE TABLE payments (
    id integer PRIMARY KEY, invoice_id integer NOT NULL REFERENCES invoices, iban varchar(34), payer text, paid_on date
);
CREATE TABLE calls (
    id integer PRIMARY KEY, patient_id integer REFERENCES patients, phone varchar(20), recorded_at timestamptz NOT NULL,
    recording bytea
);
CREATE TABLE quotes (
    id integer PRIMARY KEY, email varchar(120) NOT NULL UNIQUE, full_name text, wish text, made_on date NOT NULL
);
CREATE TABLE consents (
    id integer PRIMARY KEY, patient_id integer NOT NULL REFERENCES patients, purpose varchar(40) NOT NULL,
    wording text, given_at timestamptz NOT NULL, withdrawn_at timestamptz
);
CREATE TABLE newsletter (email varchar(120) PRIMARY KEY, since date NOT NULL);
CREATE TABLE complaints (
    id integer PRIMARY KEY, patient_id integer NOT NULL REFERENCES patients, received_on date, story text
);
CREATE TABLE reminders (
    id integer PRIMARY KEY, patient_id integer NOT NULL REFERENCES patients, channel varchar(10), sent_to text
);
CREATE TABLE web_bookings (
    id integer PRIMARY KEY, personal_code varchar(12), email varchar(120), full_name text, wish text, visit_day date
);
CREATE INDEX ON patients (lower(email));
CREATE INDEX ON visits (patient_id);
CREATE INDEX ON diagnoses (visit_id);
CREATE INDEX ON images (visit_id);
CREATE INDEX ON prescriptions (visit_id);
CREATE INDEX ON treatment_plans (patient_id);
CREATE INDEX ON invoices (patient_id);
CREATE INDEX ON payments (invoice_id);
CREATE INDEX ON calls (patient_id);
CREATE INDEX ON consents (patient_id);
CREATE INDEX ON complaints (patient_id);
CREATE INDEX ON reminders (patient_id);
CREATE INDEX ON web_bookings (personal_code);
CREATE INDEX ON quotes (lower(email));
CREATE INDEX ON newsletter (lower(email));
CREATE INDEX ON web_bookings (lower(email));
