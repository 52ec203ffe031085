try{let t=localStorage.getItem("hearth-theme");(t==="light"||t==="dark")&&(document.documentElement.dataset.theme=t)}catch{}
