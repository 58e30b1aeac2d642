SET search_path = clinic;
INSERT INTO doctors SELECT n, 'Dr. Ilze Zobārste ' || n, 'AR' || n FROM generate_series(1, 40) n;
INSERT INTO patients
SELECT n, lpad(n::text, 6, '0') || '-2' || lpad((n % 10000)::text, 4, '0'), 'Vārds' || n, 'Uzvārds' || n || 'ska',
       'pacients.' || n || '@example.lv', '+3712' || lpad(n::text, 7, '0'), date '1950-01-01' + n % 20000,
       'Zobu iela ' || n || ', Rīga', NULL, NULL
FROM generate_series(1, :people) n;
INSERT INTO visits SELECT n, n, n % 40 + 1, 'Dr. Ilze Zobārste ' || n % 40 + 1, date '2020-01-01' + n % 2000, 'Sāp zobs Nr. ' || n, NULL
FROM generate_series(1, :people) n;
INSERT INTO diagnoses SELECT n, n, 'K02.1', 'Kariess, Vārds' || n || ' Uzvārds' || n || 'ska' FROM generate_series(1, :people) n;
INSERT INTO images SELECT n, n, '/rtg/uzvards' || n || 'ska.dcm', date '2020-01-02' FROM generate_series(1, :people) n;
INSERT INTO prescriptions SELECT n, n, 'Ibuprofēns', NULL FROM generate_series(1, :people, 3) n;
INSERT INTO treatment_plans SELECT n, n, date '2021-01-01', 'Plāns: Uzvārds' || n || 'ska' FROM generate_series(1, :people, 2) n;
INSERT INTO plan_steps SELECT n, s, '1' || s, 'Solis ' || s FROM generate_series(1, :people, 2) n, generate_series(1, 2) s;
INSERT INTO invoices SELECT n, n, 'SE-' || n, date '2020-01-03', 'Vārds' || n || ' Uzvārds' || n || 'ska', 'Zobu iela ' || n || ', Rīga', 45.00
FROM generate_series(1, :people) n;
INSERT INTO invoice_lines SELECT n, 1, 'Plomba', 45.00 FROM generate_series(1, :people) n;
INSERT INTO payments SELECT n, n, 'LV97HABA' || lpad(n::text, 13, '0'), 'Uzvārds' || n || 'ska', date '2020-01-10' FROM generate_series(1, :people) n;
INSERT INTO calls SELECT n, n, '+3712' || lpad(n::text, 7, '0'), '2020-01-01 10:00+02', '\x00' FROM generate_series(1, :people, 5) n;
INSERT INTO quotes SELECT n, 'pacients.' || n || '@example.lv', 'Vārds' || n || ' Uzvārds' || n || 'ska', 'Implants', date '2020-01-01'
FROM generate_series(1, :people, 4) n;
INSERT INTO consents SELECT n, n, 'reminders', 'Piekrītu', '2020-01-01 09:00+02', NULL FROM generate_series(1, :people) n;
INSERT INTO newsletter SELECT 'Pacients.' || n || '@Example.LV', date '2020-01-01' FROM generate_series(1, :people, 2) n;
INSERT INTO complaints SELECT n, n, date '2020-02-01', 'Vārds' || n || ' sūdzas' FROM generate_series(1, :people, 50) n;
INSERT INTO reminders SELECT n, n, 'email', 'pacients.' || n || '@example.lv' FROM generate_series(1, :people) n;
INSERT INTO web_bookings SELECT n, lpad(n::text, 6, '0') || '2' || lpad((n % 10000)::text, 4, '0'), NULL,
       'Vards' || n || ' Uzvards' || n || 'ska', 'Pēc iespējas ātrāk', date '2020-01-01'
FROM generate_series(1, :people, 2) n;
