"use strict";
// grids of all rows move together: one training step, one seed, one lens
{
  const section = document.getElementById("samples-panels");
  if (section) {
    const { steps, images } = content("grids-data");
    const slider = document.getElementById("samples-step"), output = document.getElementById("samples-at");
    const seed = document.getElementById("samples-seed"), panels = [...section.querySelectorAll(".panel")];
    const dialog = document.getElementById("samples-large"), ZOOM = 3;
    const show = () => {
      const step = steps[slider.value];
      output.textContent = `step ${step.toLocaleString("en")}`;
      slider.setAttribute("aria-valuetext", output.textContent);
      panels.forEach((panel, number) => {
        // a row without a grid at this step shows its last one before it, and says so
        const at = steps.slice(0, Number(slider.value) + 1).findLast((s) => images[`${number}/${seed.value}/${s}`]);
        const image = panel.querySelector("img"), absent = panel.querySelector(".absent");
        image.hidden = at === undefined;
        absent.hidden = at !== undefined;
        panel.querySelector(".at").textContent = at === undefined || at === step ? "" : ` at step ${at.toLocaleString("en")}`;
        panel.dataset.step = at ?? "";
        if (at === undefined) return;
        image.src = images[`${number}/${seed.value}/${at}`];
        image.alt = `${panel.dataset.label}: samples at step ${at}, seed ${seed.value}`;
        panel.querySelector(".lens").style.backgroundImage = `url(${image.src})`;
      });
    };
    const look = (x, y) => {
      section.classList.add("looking");
      for (const panel of panels) {
        const lens = panel.querySelector(".lens"), image = panel.querySelector("img");
        const [w, h] = [image.clientWidth, image.clientHeight], size = lens.offsetWidth;
        lens.style.left = `${Math.min(Math.max(x * w, size / 2), w - size / 2)}px`; // within the panel, hence within the page
        lens.style.top = `${y * 100}%`;
        lens.style.backgroundSize = `${w * ZOOM}px ${h * ZOOM}px`;
        lens.style.backgroundPosition = `${size / 2 - x * w * ZOOM}px ${size / 2 - y * h * ZOOM}px`;
      }
    };
    for (const panel of panels) {
      const picture = panel.querySelector(".picture");
      const follow = (event) => {
        const box = picture.getBoundingClientRect();
        look((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
      };
      picture.addEventListener("pointermove", follow);
      picture.addEventListener("pointerleave", () => section.classList.remove("looking"));
      picture.addEventListener("click", () => {
        const image = panel.querySelector("img");
        if (image.hidden) return;
        section.classList.remove("looking");
        dialog.querySelector("img").src = image.src;
        dialog.querySelector("img").alt = image.alt;
        dialog.querySelector(".what").textContent = image.alt;
        dialog.showModal();
      });
    }
    dialog.addEventListener("click", (event) => { if (event.target === dialog || event.target.closest("button")) dialog.close(); });
    slider.addEventListener("input", show);
    seed.addEventListener("change", show);
    show();
  }
}
