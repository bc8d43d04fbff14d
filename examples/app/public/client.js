const element = (id) => document.getElementById(id);

async function call(path, body) {
  const response = await fetch(path, body === undefined ? {} : {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
  const answer = response.status === 204 ? null : await response.json();
  if (!response.ok) throw new Error(answer.error.message);
  return answer;
}

async function show(account) {
  element('state').textContent = account ? `Signed in as ${account.role}.` : 'Not signed in.';
  element('sign-in').hidden = Boolean(account);
  element('sign-out').hidden = !account;
  const visible = Boolean(account) && account.role !== 'student';
  element('organisations').hidden = !visible;
  if (!visible) return;
  const { byOrganisation } = await call('/api/statistics');
  element('organisations').tBodies[0].replaceChildren(...byOrganisation.map(({ name, students }) => {
    const row = document.createElement('tr');
    for (const value of [name, students]) row.insertCell().textContent = value;
    return row;
  }));
}

const complain = (error) => { element('state').textContent = error.message; };

element('sign-in').addEventListener('submit', (event) => {
  event.preventDefault();
  call('/api/auth/sign-in', Object.fromEntries(new FormData(event.target))).then(show).catch(complain);
});
element('sign-out').addEventListener('click', () => call('/api/auth/sign-out', {}).then(() => show()).catch(complain));
call('/api/me').then(show).catch(() => show());
